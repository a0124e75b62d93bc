#include "experiments/cli/program.h"

int main(int argc, char** argv) { return az::cli::run(argc, argv); }
