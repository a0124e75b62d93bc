#pragma once

namespace az::cli {

// The whole command line, `azimuth COMMAND ...`: data goes to stdout, everything else to stderr; returns the exit code, one of
// core/base/error.h. Register layers of your own first. Starts the program again, once, where variables serve the machine that
// only count from the start (core/backend/startup.h).
int run(int argc, char** argv);

}  // namespace az::cli
