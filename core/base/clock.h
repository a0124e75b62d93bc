#pragma once

namespace az {

// Seconds of a clock that never goes back, from some point on: for how long something takes.
double steady_seconds();

}  // namespace az
