// Checks for tests of the C API that are themselves C11: the API must be usable without C++.
//
//   static void a_record_comes_back(void) { CHECK_EQ(poll(…), OMBUS_POLL_RECORD); }
//   int main(void) { RUN(a_record_comes_back); return end_of_tests(); }
//
// A failed check is printed and counted, and the test goes on. Threads: one.
#ifndef OMBUS_TESTS_ENGINE_C_CHECK_H_
#define OMBUS_TESTS_ENGINE_C_CHECK_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int checks_failed;

#define CHECK(condition)                                                               \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      ++checks_failed;                                                                 \
      printf("%s:%d: not true in %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
    }                                                                                  \
  } while (0)

#define CHECK_EQ(left, right)                                                                 \
  do {                                                                                        \
    const long long left_ = (long long)(left), right_ = (long long)(right);                   \
    if (left_ != right_) {                                                                    \
      ++checks_failed;                                                                        \
      printf("%s:%d: in %s: %s is %lld, not %s, %lld\n", __FILE__, __LINE__, __func__, #left, \
             left_, #right, right_);                                                          \
    }                                                                                         \
  } while (0)

// That the text says so, for errors that people read.
#define CHECK_SAYS(text, part)                                                                   \
  do {                                                                                           \
    if (strstr((text), (part)) == NULL) {                                                        \
      ++checks_failed;                                                                           \
      printf("%s:%d: in %s: \"%s\" does not say \"%s\"\n", __FILE__, __LINE__, __func__, (text), \
             (part));                                                                            \
    }                                                                                            \
  } while (0)

// Ends the program where going on makes no sense.
#define REQUIRE(condition)                                                              \
  do {                                                                                  \
    if (!(condition)) {                                                                 \
      printf("%s:%d: in %s: required: %s\n", __FILE__, __LINE__, __func__, #condition); \
      exit(1);                                                                          \
    }                                                                                   \
  } while (0)

#define RUN(test)                                                         \
  do {                                                                    \
    const int before_ = checks_failed;                                    \
    test();                                                               \
    printf("%s %s\n", checks_failed == before_ ? "ok" : "not ok", #test); \
    fflush(stdout);                                                       \
  } while (0)

static inline int end_of_tests(void) { return checks_failed == 0 ? 0 : 1; }

// A stream's name that nothing else on this host uses.
static inline const char* test_stream(void) {
  static char name[64];
  snprintf(name, sizeof name, "/ombus-c-test-%d", (int)getpid());
  return name;
}

// No test waits longer than that, and none fails for being slower than it hoped.
#define PATIENCE_NS 60000000000ull

static inline uint64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif  // OMBUS_TESTS_ENGINE_C_CHECK_H_
