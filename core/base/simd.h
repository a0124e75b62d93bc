#pragma once

// Compiles a loop for several instruction sets and picks one when the program starts (GCC function multiversioning).
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define AZ_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AZ_MULTIVERSION
#endif
// For what such a loop calls: only what is inlined is compiled for its instruction set. AZ_INLINED goes on lambdas.
#define AZ_INLINED __attribute__((always_inline))
#define AZ_INLINE inline AZ_INLINED
