#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace az {

// Threads used by every parallel loop and by oneDNN and OpenBLAS (one OpenMP pool): OMP_NUM_THREADS, else one for each core
// that affinity and control groups grant, until set. `origin` says who set it. More than the limits of the process allow
// (ulimit -v, -d, -u) are refused, as they are set or first used.
int thread_count();
void set_thread_count(int count, const std::string& origin = "the program");
// Makes it hold for what the calling thread hands to a library next: OpenMP keeps a number for each thread.
void use_thread_count();
// Where thread_count() comes from: "OMP_NUM_THREADS", "control group: 0.5 of 2 cores".
std::string thread_count_origin();

// Calls body(begin, end) on disjoint ranges that cover [0, count), of `grain` elements or more each, on the OpenMP pool. When
// calls throw, throws what the first of them threw, after all have ended.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

}  // namespace az
