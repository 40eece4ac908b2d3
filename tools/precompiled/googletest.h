// The same for the tests, nearly half of whose time at the compiler goes into GoogleTest's headers.
#ifndef OMBUS_TOOLS_PRECOMPILED_GOOGLETEST_H_
#define OMBUS_TOOLS_PRECOMPILED_GOOGLETEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <fstream>
#include <mutex>
#include <thread>

#include "tools/precompiled/standard.h"

#endif  // OMBUS_TOOLS_PRECOMPILED_GOOGLETEST_H_
