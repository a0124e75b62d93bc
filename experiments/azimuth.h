#pragma once

// Everything a program needs, in one include.
#include "core/autograd.h"
#include "core/gradcheck.h"
#include "core/ops/conv.h"
#include "core/ops/create.h"
#include "core/ops/elementwise.h"
#include "core/ops/loss.h"
#include "core/ops/matmul.h"
#include "core/ops/norm.h"
#include "core/ops/pool.h"
#include "core/ops/reduce.h"
#include "core/ops/shape.h"
#include "core/random.h"
#include "core/safetensors.h"
