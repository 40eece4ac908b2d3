// The consumer's part of the C API.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "c_ring.h"

static void bad_options_are_refused_by_name(void) {
  ombus_error error;
  CHECK(ombus_consumer_open(NULL, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  ombus_consumer_options options;
  memset(&options, 0, sizeof options);
  CHECK(ombus_consumer_open(&options, &error) == NULL);
  CHECK_SAYS(error.message, "options.size");
  options = consumer_options();
  CHECK_EQ(options.consumer_index, OMBUS_ANY_CONSUMER_INDEX);
  CHECK_EQ(options.reject_reorder, 0);
  CHECK_EQ(options.start, OMBUS_START_LIVE);
  CHECK_EQ(options.profile, OMBUS_PROFILE_THROUGHPUT);
  CHECK_EQ(options.huge_pages, 0);
  CHECK_EQ(options.lock_memory, 0);
  options.start = 2;
  CHECK(ombus_consumer_open(&options, &error) == NULL);
  CHECK_SAYS(error.message, "start 2");
  options = consumer_options();
  options.profile = 2;
  CHECK(ombus_consumer_open(&options, &error) == NULL);
  CHECK_SAYS(error.message, "profile 2");
  options.name = NULL;
  CHECK(ombus_consumer_open(&options, &error) == NULL);
  CHECK_SAYS(error.message, "name");
  options = consumer_options();
  CHECK(ombus_consumer_open(&options, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_NOT_FOUND);
  CHECK_SAYS(error.message, test_stream());
}

static void a_start_with_the_epoch_gets_what_was_published_before(void) {
  const ombus_producer_options made = producer_options();
  ombus_producer* producer = new_producer(&made);
  const uint64_t seq = 41;
  ombus_record record = record_of(&seq);
  CHECK_EQ(ombus_producer_try_publish(producer, &record), OMBUS_PUBLISH_OK);
  ombus_consumer_options options = consumer_options();
  options.start = OMBUS_START_EPOCH_START;
  options.profile = OMBUS_PROFILE_LATENCY;
  options.huge_pages = 1;
  ombus_error error;
  ombus_consumer* consumer = ombus_consumer_open(&options, &error);
  REQUIRE(consumer != NULL);
  CHECK_EQ(ombus_consumer_missed_records(consumer), 0);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_RECORD);
  CHECK_EQ(record.wal_seq, 41);
  ombus_memory_report report = {.size = sizeof report};
  CHECK_EQ(ombus_consumer_memory(consumer, &report), OMBUS_OK);
  CHECK_EQ(report.warnings, 1);
  CHECK_SAYS(ombus_consumer_memory_warning(consumer, 0), "huge pages");
  CHECK(ombus_consumer_memory_warning(consumer, 1) == NULL);
  CHECK_EQ(ombus_consumer_memory(NULL, &report), OMBUS_INVALID_ARGUMENT);
  CHECK(ombus_consumer_memory_warning(NULL, 0) == NULL);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

static void ignore_record(const ombus_record* record, void* context) {
  (void)record;
  (void)context;
}

static void calls_without_a_consumer_or_a_place_are_refused(void) {
  ombus_record record;
  ombus_poll_result end = OMBUS_POLL_EMPTY;
  ombus_error error;
  CHECK_EQ(ombus_consumer_poll(NULL, &record), OMBUS_POLL_INVALID);
  CHECK_EQ(ombus_consumer_poll_batch(NULL, &record, 1, &end), 0);
  CHECK_EQ(end, OMBUS_POLL_INVALID);
  CHECK_EQ(ombus_consumer_poll_batch(NULL, &record, 1, NULL), 0);
  end = OMBUS_POLL_EMPTY;
  CHECK_EQ(ombus_consumer_drain(NULL, 1, ignore_record, NULL, &end), 0);
  CHECK_EQ(end, OMBUS_POLL_INVALID);
  CHECK_EQ(ombus_consumer_valid(NULL), 0);
  CHECK_EQ(ombus_consumer_wait(NULL, 1000, 0), 0);
  CHECK_EQ(ombus_consumer_wake_descriptor(NULL, &error), -1);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_consumer_arm_wake(NULL), 0);
  CHECK_EQ(ombus_consumer_replaced(NULL), 0);
  CHECK_EQ(ombus_consumer_epoch_changed(NULL), 0);
  CHECK_EQ(ombus_consumer_epoch_position(NULL), 0);
  CHECK_EQ(ombus_consumer_index(NULL), 0);
  CHECK_EQ(ombus_consumer_tail(NULL), 0);
  CHECK_EQ(ombus_consumer_head(NULL), 0);
  CHECK_EQ(ombus_consumer_epoch(NULL), 0);
  CHECK_EQ(ombus_consumer_wal_seq(NULL), 0);
  CHECK_EQ(ombus_consumer_expected_wal_seq(NULL), 0);
  CHECK_EQ(ombus_consumer_missed_records(NULL), 0);
  CHECK_EQ(ombus_consumer_lost_records(NULL), 0);
  CHECK_EQ(ombus_consumer_payload_max(NULL), 0);
  ombus_consumer_disarm_wake(NULL);
  ombus_consumer_check_name(NULL);
  ombus_consumer_release(NULL);
  ombus_consumer_close(NULL);

  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  CHECK_EQ(ombus_consumer_poll(consumer, NULL), OMBUS_POLL_INVALID);
  CHECK_EQ(ombus_consumer_poll_batch(consumer, NULL, 1, &end), 0);
  CHECK_EQ(end, OMBUS_POLL_INVALID);
  CHECK_EQ(ombus_consumer_drain(consumer, 1, NULL, NULL, &end), 0);
  CHECK_EQ(end, OMBUS_POLL_INVALID);
  CHECK_EQ(ombus_consumer_poll_batch(consumer, &record, 0, &end), 0);
  CHECK(end != OMBUS_POLL_INVALID);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

static void consumers_take_any_free_index_or_the_one_they_want(void) {
  ombus_producer_options options = producer_options();
  options.max_consumers = 2;
  ombus_producer* producer = new_producer(&options);
  ombus_consumer_options wanted = consumer_options();
  wanted.consumer_index = 1;
  ombus_error error;
  ombus_consumer* first = ombus_consumer_open(&wanted, &error);
  REQUIRE(first != NULL);
  CHECK_EQ(ombus_consumer_index(first), 1);
  CHECK(ombus_consumer_open(&wanted, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_ALREADY_EXISTS);
  ombus_consumer* second = new_consumer();
  CHECK_EQ(ombus_consumer_index(second), 0);
  const ombus_consumer_options any = consumer_options();
  CHECK(ombus_consumer_open(&any, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_RESOURCE_EXHAUSTED);
  wanted.consumer_index = 2;
  CHECK(ombus_consumer_open(&wanted, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  ombus_consumer_close(first);
  ombus_consumer* third = new_consumer();
  CHECK_EQ(ombus_consumer_index(third), 1);
  ombus_consumer_close(second);
  ombus_consumer_close(third);
  ombus_producer_close(producer);
}

static void gaps_are_told_by_poll_and_for_each_record_of_a_batch(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  const uint64_t seqs[] = {10, 11, 15, 16, 14, 20};
  for (size_t i = 0; i < 6; ++i) CHECK_EQ(publish(producer, seqs[i]), OMBUS_PUBLISH_OK);
  ombus_record record;
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_RECORD);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_RECORD);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_GAP);
  CHECK_EQ(record.wal_seq, 15);
  CHECK_EQ(record.flags, OMBUS_RECORD_GAP);
  CHECK_EQ(ombus_consumer_expected_wal_seq(consumer), 12);
  ombus_record batch[8];
  ombus_poll_result end;
  CHECK_EQ(ombus_consumer_poll_batch(consumer, batch, 8, &end), 3);
  CHECK_EQ(end, OMBUS_POLL_EMPTY);
  CHECK_EQ(batch[0].flags, 0);
  CHECK_EQ(batch[1].flags, OMBUS_RECORD_REORDER);
  CHECK(batch[2].flags == OMBUS_RECORD_GAP);
  CHECK_EQ(ombus_consumer_wal_seq(consumer), 20);
  CHECK_EQ(ombus_consumer_tail(consumer), 6);
  CHECK_EQ(ombus_consumer_head(consumer), 6);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

static void a_reorder_is_a_result_of_its_own_on_request(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  ombus_consumer_options strict = consumer_options();
  strict.reject_reorder = 1;
  ombus_error error;
  ombus_consumer* consumer = ombus_consumer_open(&strict, &error);
  REQUIRE(consumer != NULL);
  CHECK_EQ(publish(producer, 5), OMBUS_PUBLISH_OK);
  CHECK_EQ(publish(producer, 4), OMBUS_PUBLISH_OK);
  ombus_record record;
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_RECORD);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_REORDER);
  CHECK_EQ(record.wal_seq, 4);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

static void a_stream_can_have_all_its_consumers_report_reorders(void) {
  ombus_producer_options options = producer_options();
  options.reject_reorder = 1;
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  CHECK_EQ(publish(producer, 5), OMBUS_PUBLISH_OK);
  CHECK_EQ(publish(producer, 4), OMBUS_PUBLISH_OK);
  ombus_record record;
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_RECORD);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_REORDER);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

typedef struct sum {
  ombus_consumer* consumer;
  uint64_t seqs, records, invalid;
} sum;

static void add(const ombus_record* record, void* context) {
  sum* total = context;
  total->seqs += payload_of(record);
  ++total->records;
  total->invalid += !ombus_consumer_valid(total->consumer);
}

static void a_drain_calls_back_for_each_record(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  sum total = {.consumer = new_consumer()};
  for (uint64_t seq = 1; seq <= 5; ++seq) CHECK_EQ(publish(producer, seq), OMBUS_PUBLISH_OK);
  ombus_poll_result end;
  CHECK_EQ(ombus_consumer_drain(total.consumer, 2, add, &total, &end), 2);
  CHECK_EQ(end, OMBUS_POLL_RECORD);
  CHECK_EQ(ombus_consumer_drain(total.consumer, 100, add, &total, &end), 3);
  CHECK_EQ(end, OMBUS_POLL_EMPTY);
  CHECK_EQ(ombus_consumer_drain(total.consumer, 100, add, &total, NULL), 0);
  CHECK_EQ(total.records, 5);
  CHECK_EQ(total.seqs, 15);
  CHECK_EQ(total.invalid, 0);
  ombus_consumer_close(total.consumer);
  ombus_producer_close(producer);
}

static void an_evicted_consumer_learns_it_from_its_view_and_its_next_poll(void) {
  ombus_producer_options options = producer_options();
  options.staleness_ns = 1000000;
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  CHECK_EQ(publish(producer, 1), OMBUS_PUBLISH_OK);
  ombus_record record;
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_RECORD);
  CHECK_EQ(ombus_consumer_valid(consumer), 1);
  for (uint64_t seq = 2; seq <= 20; ++seq) {
    const ombus_record next = record_of(&seq);
    CHECK_EQ(ombus_producer_publish(producer, &next, PATIENCE_NS), OMBUS_PUBLISH_OK);
  }
  CHECK_EQ(ombus_consumer_valid(consumer), 0);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_EVICTED);
  CHECK_EQ(ombus_consumer_lost_records(consumer), 19);
  CHECK_EQ(publish(producer, 21), OMBUS_PUBLISH_OK);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_GAP);
  CHECK_EQ(record.wal_seq, 21);
  CHECK_EQ(ombus_consumer_expected_wal_seq(consumer), 2);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

static void a_damaged_record_is_skipped_and_told(void) {
  ombus_producer_options options = producer_options();
  options.crc32c = 1;
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  CHECK_EQ(publish(producer, 1), OMBUS_PUBLISH_OK);
  CHECK_EQ(publish(producer, 2), OMBUS_PUBLISH_OK);
  const size_t first_payload = 4096 + 8 * 64 + 24;
  const int fd = shm_open(test_stream(), O_RDWR, 0);
  REQUIRE(fd >= 0);
  CHECK_EQ(pwrite(fd, "!", 1, (off_t)first_payload), 1);
  close(fd);
  ombus_record record;
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_CORRUPT);
  CHECK(ombus_consumer_poll(consumer, &record) > OMBUS_POLL_EMPTY);
  CHECK_EQ(record.wal_seq, 2);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

static void a_stream_that_ends_or_is_replaced_is_told_after_its_last_record(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  const uint64_t epoch = ombus_consumer_epoch(consumer);
  CHECK_EQ(epoch, ombus_producer_epoch(producer));
  CHECK_EQ(publish(producer, 1), OMBUS_PUBLISH_OK);
  CHECK_EQ(ombus_consumer_epoch_changed(consumer), 0);
  ombus_producer* successor = new_producer(&options);
  CHECK_EQ(ombus_consumer_epoch_changed(consumer), 1);
  ombus_record record;
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_RECORD);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_EPOCH_CHANGED);
  CHECK_EQ(ombus_consumer_replaced(consumer), 1);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);

  consumer = new_consumer();
  CHECK_EQ(ombus_consumer_replaced(consumer), 0);
  CHECK(ombus_consumer_epoch(consumer) != epoch);
  CHECK_EQ(publish(successor, 2), OMBUS_PUBLISH_OK);
  ombus_producer_close(successor);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_RECORD);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_CLOSED);
  CHECK_EQ(ombus_consumer_poll(consumer, &record), OMBUS_POLL_CLOSED);
  ombus_consumer_close(consumer);
}

static void a_consumer_that_only_polls_finds_out_that_its_object_was_removed(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* first = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  CHECK_EQ(shm_unlink(test_stream()), 0);
  ombus_producer* second = new_producer(&options);
  ombus_record record;
  ombus_poll_result result = OMBUS_POLL_EMPTY;
  for (int polls = 0; polls <= 64 && result == OMBUS_POLL_EMPTY; ++polls) {
    result = ombus_consumer_poll(consumer, &record);
    ombus_consumer_check_name(consumer);
  }
  CHECK_EQ(result, OMBUS_POLL_EPOCH_CHANGED);
  CHECK_EQ(ombus_consumer_replaced(consumer), 1);
  ombus_consumer_close(consumer);
  ombus_producer_close(first);
  ombus_producer_close(second);
}

static void* publish_hundred(void* producer) {
  for (uint64_t seq = 1; seq <= 100; ++seq) {
    const ombus_record record = record_of(&seq);
    if (ombus_producer_publish(producer, &record, PATIENCE_NS) != OMBUS_PUBLISH_OK) break;
    if (seq % 10 == 0) usleep(1000);  // so that the consumer goes to sleep now and then
  }
  return NULL;
}

static void a_sleeping_consumer_is_woken(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  CHECK_EQ(ombus_consumer_wait(consumer, 1000000, 0), 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, publish_hundred, producer) == 0);
  uint64_t expected = 1;
  while (expected <= 100) {
    ombus_record record;
    const ombus_poll_result result = ombus_consumer_poll(consumer, &record);
    if (result == OMBUS_POLL_EMPTY) {
      CHECK(ombus_consumer_wait(consumer, PATIENCE_NS, 0));
      continue;
    }
    CHECK_EQ(result, OMBUS_POLL_RECORD);
    CHECK_EQ(record.wal_seq, expected++);
  }
  pthread_join(thread, NULL);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

static void a_consumer_sleeps_on_a_descriptor_among_others(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* consumer = new_consumer();
  ombus_error error;
  const int fd = ombus_consumer_wake_descriptor(consumer, &error);
  if (fd < 0) printf("%s\n", error.message);
  REQUIRE(fd >= 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, publish_hundred, producer) == 0);
  uint64_t expected = 1;
  while (expected <= 100) {
    ombus_record record;
    const ombus_poll_result result = ombus_consumer_poll(consumer, &record);
    if (result != OMBUS_POLL_EMPTY) {
      CHECK_EQ(result, OMBUS_POLL_RECORD);
      CHECK_EQ(record.wal_seq, expected++);
      continue;
    }
    if (!ombus_consumer_arm_wake(consumer)) continue;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    CHECK_EQ(poll(&wait, 1, 60000), 1);
    ombus_consumer_disarm_wake(consumer);
  }
  pthread_join(thread, NULL);
  ombus_consumer_close(consumer);
  ombus_producer_close(producer);
}

int main(void) {
  RUN(bad_options_are_refused_by_name);
  RUN(a_start_with_the_epoch_gets_what_was_published_before);
  RUN(calls_without_a_consumer_or_a_place_are_refused);
  RUN(consumers_take_any_free_index_or_the_one_they_want);
  RUN(gaps_are_told_by_poll_and_for_each_record_of_a_batch);
  RUN(a_reorder_is_a_result_of_its_own_on_request);
  RUN(a_stream_can_have_all_its_consumers_report_reorders);
  RUN(a_drain_calls_back_for_each_record);
  RUN(an_evicted_consumer_learns_it_from_its_view_and_its_next_poll);
  RUN(a_damaged_record_is_skipped_and_told);
  RUN(a_stream_that_ends_or_is_replaced_is_told_after_its_last_record);
  RUN(a_consumer_that_only_polls_finds_out_that_its_object_was_removed);
  RUN(a_sleeping_consumer_is_woken);
  RUN(a_consumer_sleeps_on_a_descriptor_among_others);
  return end_of_tests();
}
