// What all of the C API shares: versions, errors, structs that grow, memory that runs out.
#include <ombus/ombus.h>
#include <sys/resource.h>

#include "c_check.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static void the_library_says_the_version_of_its_headers(void) {
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", OMBUS_VERSION_MAJOR, OMBUS_VERSION_MINOR,
           OMBUS_VERSION_PATCH);
  CHECK(strcmp(version, ombus_version()) == 0);
}

static void every_status_has_a_name_of_its_own(void) {
  for (int i = OMBUS_OK; i <= OMBUS_INTERNAL; ++i) {
    for (int j = OMBUS_OK; j < i; ++j) {
      CHECK(strcmp(ombus_status_name((ombus_status)i), ombus_status_name((ombus_status)j)) != 0);
    }
  }
  CHECK(strcmp(ombus_status_name((ombus_status)99), "unknown status") == 0);
  CHECK(strcmp(ombus_status_name((ombus_status)-1), "unknown status") == 0);
}

static void a_message_that_does_not_fit_is_cut_and_ends(void) {
  char name[2000];
  memset(name, 'x', sizeof name);
  name[0] = '/';
  name[sizeof name - 1] = '\0';
  ombus_error error;
  memset(&error, 0x55, sizeof error);
  CHECK(ombus_snapshot_read(name, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  CHECK(memchr(error.message, '\0', sizeof error.message) != NULL);
  CHECK(ombus_snapshot_read(name, NULL) == NULL);
}

static void a_call_that_succeeds_clears_the_error(void) {
  ombus_producer_options options;
  ombus_producer_options_init(&options, sizeof options);
  options.name = test_stream();
  ombus_error error = {OMBUS_INTERNAL, "old"};
  ombus_producer* producer = ombus_producer_create(&options, &error);
  REQUIRE(producer != NULL);
  CHECK_EQ(error.code, OMBUS_OK);
  CHECK_EQ(error.message[0], '\0');
  ombus_producer_close(producer);
}

// Options as a program that was built against a newer ombus has them.
typedef struct newer_options {
  ombus_producer_options known;
  uint64_t added;
} newer_options;

static void options_of_a_newer_program_are_taken_if_what_is_new_is_unused(void) {
  newer_options options;
  memset(&options, 0xff, sizeof options);
  ombus_producer_options_init(&options.known, sizeof options);
  CHECK_EQ(options.known.size, sizeof options);
  CHECK_EQ(options.added, 0);
  options.known.name = test_stream();
  ombus_error error;
  ombus_producer* producer = ombus_producer_create(&options.known, &error);
  CHECK(producer != NULL);
  ombus_producer_close(producer);

  options.added = 1;
  CHECK(ombus_producer_create(&options.known, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  CHECK_SAYS(error.message, "too old");
}

static const uint64_t first_version_bytes =
    offsetof(ombus_producer_options, profile) + sizeof(uint32_t);

static void options_of_an_older_program_leave_what_is_newer_at_its_default(void) {
  ombus_producer_options options;
  ombus_producer_options_init(&options, sizeof options);
  options.name = test_stream();
  options.size = first_version_bytes;
  options.numa_node = 5000;  // beyond that size, hence not looked at
  ombus_error error;
  ombus_producer* producer = ombus_producer_create(&options, &error);
  REQUIRE(producer != NULL);
  CHECK(ombus_producer_memory_warning(producer, 0) == NULL);
  ombus_producer_close(producer);
}

static void options_without_a_credible_size_are_refused(void) {
  const uint64_t sizes[] = {0, 1, 8, first_version_bytes - 8, 4097, UINT64_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    ombus_producer_options options;
    ombus_producer_options_init(&options, sizeof options);
    options.name = test_stream();
    options.size = sizes[i];
    ombus_error error;
    CHECK(ombus_producer_create(&options, &error) == NULL);
    CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
    CHECK_SAYS(error.message, "options.size");
  }
}

// An init that is given such a size says so, writes no more than there may be room for, and leaves
// options that their call refuses, too. INIT: its name; CREATE: the call.
#define CHECK_INIT_SIZES(TYPE, INIT, CREATE)                            \
  do {                                                                  \
    const size_t sizes_[] = {0, 7, 8, 16, 4097, 1u << 20};              \
    for (size_t i_ = 0; i_ < sizeof sizes_ / sizeof *sizes_; ++i_) {    \
      TYPE options_, before_;                                           \
      CHECK_EQ(INIT(&options_, sizeof options_), OMBUS_OK);             \
      before_ = options_;                                               \
      if (sizes_[i_] >= sizeof before_.size) before_.size = sizes_[i_]; \
      CHECK_EQ(INIT(&options_, sizes_[i_]), OMBUS_INVALID_ARGUMENT);    \
      CHECK(memcmp(&options_, &before_, sizeof options_) == 0);         \
      if (sizes_[i_] < sizeof before_.size) continue;                   \
      ombus_error error_;                                               \
      CHECK(CREATE(&options_, &error_) == NULL);                        \
      CHECK_EQ(error_.code, OMBUS_INVALID_ARGUMENT);                    \
      CHECK_SAYS(error_.message, "options.size");                       \
    }                                                                   \
    CHECK_EQ(INIT(NULL, sizeof(TYPE)), OMBUS_INVALID_ARGUMENT);         \
  } while (0)

static void an_init_that_is_given_a_size_that_cannot_be_is_an_error(void) {
  CHECK_INIT_SIZES(ombus_producer_options, ombus_producer_options_init, ombus_producer_create);
  CHECK_INIT_SIZES(ombus_consumer_options, ombus_consumer_options_init, ombus_consumer_open);
  CHECK_INIT_SIZES(ombus_server_options, ombus_server_options_init, ombus_server_create);
  CHECK_INIT_SIZES(ombus_client_options, ombus_client_options_init, ombus_client_connect);
  CHECK_INIT_SIZES(ombus_relay_options, ombus_relay_options_init, ombus_relay_create);
}

// A size that is asked for and cannot be had is an error, not the end of the program.
static void memory_that_runs_out_is_an_error(void) {
  if (SANITIZED) {
    printf("skipped: a sanitizer ends the program itself\n");
    return;
  }
  ombus_server_options server_options;
  ombus_server_options_init(&server_options, sizeof server_options);
  ombus_error error;
  ombus_server* server = ombus_server_create(&server_options, &error);
  REQUIRE(server != NULL);
  ombus_client_options options;
  ombus_client_options_init(&options, sizeof options);
  options.port = ombus_server_port(server);
  options.receive_buffer_bytes = 1u << 30;
  struct rlimit old, low;
  REQUIRE(getrlimit(RLIMIT_AS, &old) == 0);
  low = old;
  low.rlim_cur = 512u << 20;
  REQUIRE(setrlimit(RLIMIT_AS, &low) == 0);
  CHECK(ombus_client_connect(&options, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_RESOURCE_EXHAUSTED);
  CHECK_SAYS(error.message, "ENOMEM");
  CHECK(ombus_client_connect(&options, NULL) == NULL);
  REQUIRE(setrlimit(RLIMIT_AS, &old) == 0);
  ombus_server_destroy(server);
}

static void cursors_are_saved_and_loaded(void) {
  char path[128];
  snprintf(path, sizeof path, "/tmp/ombus-c-cursor-%d", (int)getpid());
  ombus_error error;
  uint64_t seq = 7;
  CHECK_EQ(ombus_cursor_load(path, &seq, &error), OMBUS_NOT_FOUND);
  CHECK_EQ(seq, 7);
  CHECK_EQ(ombus_cursor_save(path, 41, &error), OMBUS_OK);
  CHECK_EQ(ombus_cursor_save(path, 42, NULL), OMBUS_OK);
  CHECK_EQ(ombus_cursor_load(path, &seq, &error), OMBUS_OK);
  CHECK_EQ(seq, 42);
  FILE* file = fopen(path, "r+b");
  REQUIRE(file != NULL);
  fseek(file, 5, SEEK_SET);
  fputc(0x77, file);
  fclose(file);
  CHECK_EQ(ombus_cursor_load(path, &seq, &error), OMBUS_CORRUPT);
  CHECK_EQ(error.code, OMBUS_CORRUPT);
  CHECK_EQ(seq, 42);
  unlink(path);
}

static void cursors_without_a_path_are_refused(void) {
  ombus_error error;
  uint64_t seq;
  CHECK_EQ(ombus_cursor_save(NULL, 1, &error), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_cursor_load(NULL, &seq, &error), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_cursor_load("/tmp/x", NULL, &error), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_cursor_save("/no/such/folder/cursor", 1, &error), error.code);
  CHECK(error.code != OMBUS_OK);
  CHECK_SAYS(error.message, "/no/such/folder/cursor");
}

int main(void) {
  RUN(the_library_says_the_version_of_its_headers);
  RUN(every_status_has_a_name_of_its_own);
  RUN(a_message_that_does_not_fit_is_cut_and_ends);
  RUN(a_call_that_succeeds_clears_the_error);
  RUN(options_of_a_newer_program_are_taken_if_what_is_new_is_unused);
  RUN(options_of_an_older_program_leave_what_is_newer_at_its_default);
  RUN(options_without_a_credible_size_are_refused);
  RUN(an_init_that_is_given_a_size_that_cannot_be_is_an_error);
  RUN(memory_that_runs_out_is_an_error);
  RUN(cursors_are_saved_and_loaded);
  RUN(cursors_without_a_path_are_refused);
  return end_of_tests();
}
