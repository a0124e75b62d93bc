#include "core/backend/startup.h"
#include "experiments/cli/program.h"

AZ_WATCH_LOADING

int main(int argc, char** argv) { return az::cli::run(argc, argv); }
