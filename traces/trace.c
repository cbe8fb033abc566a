/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/trace.h"
