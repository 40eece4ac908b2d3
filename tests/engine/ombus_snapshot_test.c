// What the C API shows of a stream to a process that takes no part in it.
#include <ombus/ombus_snapshot.h>
#include <stddef.h>

#include "c_ring.h"

static void bad_input_is_refused(void) {
  ombus_error error;
  CHECK(ombus_snapshot_read(NULL, &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  CHECK(ombus_snapshot_read("no-slash", &error) == NULL);
  CHECK_EQ(error.code, OMBUS_INVALID_ARGUMENT);
  CHECK(ombus_snapshot_read(test_stream(), &error) == NULL);
  CHECK_EQ(error.code, OMBUS_NOT_FOUND);
  ombus_stream_info stream = {.size = sizeof stream};
  ombus_consumer_info consumer = {.size = sizeof consumer};
  CHECK_EQ(ombus_snapshot_get_stream(NULL, &stream), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_snapshot_get_consumer(NULL, 0, &consumer), OMBUS_INVALID_ARGUMENT);
  ombus_snapshot_free(NULL);
}

static void a_snapshot_shows_the_stream_and_its_consumers(void) {
  ombus_producer_options options = producer_options();
  options.crc32c = 1;
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* reader = new_consumer();
  for (uint64_t seq = 11; seq <= 15; ++seq) CHECK_EQ(publish(producer, seq), OMBUS_PUBLISH_OK);
  ombus_record record;
  CHECK_EQ(ombus_consumer_poll(reader, &record), OMBUS_POLL_RECORD);
  CHECK_EQ(ombus_consumer_poll(reader, &record), OMBUS_POLL_RECORD);
  ombus_consumer_release(reader);

  ombus_error error;
  ombus_snapshot* snapshot = ombus_snapshot_read(test_stream(), &error);
  REQUIRE(snapshot != NULL);
  ombus_stream_info stream = {.size = sizeof stream};
  CHECK_EQ(ombus_snapshot_get_stream(snapshot, &stream), OMBUS_OK);
  CHECK_EQ(stream.size, sizeof stream);
  CHECK_EQ(stream.capacity, 8);
  CHECK_EQ(stream.slot_size, 256);
  CHECK_EQ(stream.max_consumers, 8);
  CHECK_EQ(stream.consumers, 1);
  CHECK_EQ(stream.crc32c, 1);
  CHECK_EQ(stream.reject_reorder, 0);
  CHECK_EQ(stream.state, OMBUS_STREAM_ACTIVE);
  CHECK_EQ(stream.producer_alive, 1);
  CHECK_EQ(stream.producer_pid, getpid());
  CHECK_EQ(stream.total_bytes, 4096 + 8 * 64 + 8 * 256);
  CHECK_EQ(stream.epoch, ombus_producer_epoch(producer));
  CHECK_EQ(stream.head, 5);
  CHECK_EQ(stream.last_wal_seq, 15);

  ombus_consumer_info consumer = {.size = sizeof consumer};
  CHECK_EQ(ombus_snapshot_get_consumer(snapshot, 0, &consumer), OMBUS_OK);
  CHECK_EQ(consumer.index, ombus_consumer_index(reader));
  CHECK_EQ(consumer.state, OMBUS_CONSUMER_LIVE);
  CHECK_EQ(consumer.owner_alive, 1);
  CHECK_EQ(consumer.pid, getpid());
  CHECK_EQ(consumer.tail, 2);
  CHECK_EQ(consumer.lag_records, 3);
  CHECK_EQ(consumer.wal_seq, 12);
  CHECK_EQ(ombus_snapshot_get_consumer(snapshot, 1, &consumer), OMBUS_NOT_FOUND);

  stream.size = 0;
  consumer.size = 7;
  CHECK_EQ(ombus_snapshot_get_stream(snapshot, &stream), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_snapshot_get_stream(snapshot, NULL), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_snapshot_get_consumer(snapshot, 0, &consumer), OMBUS_INVALID_ARGUMENT);
  CHECK_EQ(ombus_snapshot_get_consumer(snapshot, 0, NULL), OMBUS_INVALID_ARGUMENT);
  ombus_snapshot_free(snapshot);
  ombus_consumer_close(reader);
  ombus_producer_close(producer);
}

// To be seen from outside by a program in C, too.
static void a_snapshot_shows_the_batches_and_the_most_unread_records(void) {
  const ombus_producer_options options = producer_options();
  ombus_producer* producer = new_producer(&options);
  ombus_consumer* reader = new_consumer();
  const ombus_record records[5] = {{.wal_seq = 1}};
  CHECK_EQ(ombus_producer_try_publish_batch(producer, records, 1, NULL), OMBUS_PUBLISH_OK);
  CHECK_EQ(ombus_producer_try_publish_batch(producer, records, 5, NULL), OMBUS_PUBLISH_OK);
  CHECK_EQ(ombus_producer_try_publish_batch(producer, records, 2, NULL), OMBUS_PUBLISH_OK);
  CHECK_EQ(publish(producer, 9), OMBUS_PUBLISH_FULL);

  ombus_error error;
  ombus_snapshot* snapshot = ombus_snapshot_read(test_stream(), &error);
  REQUIRE(snapshot != NULL);
  ombus_stream_info stream = {.size = sizeof stream};
  CHECK_EQ(ombus_snapshot_get_stream(snapshot, &stream), OMBUS_OK);
  CHECK_EQ(stream.occupancy_max, 8);
  CHECK_EQ(stream.batches[0], 1);
  CHECK_EQ(stream.batches[1], 1);
  CHECK_EQ(stream.batches[2], 1);
  CHECK_EQ(stream.batches[OMBUS_BATCH_BUCKETS - 1], 0);
  CHECK_EQ(stream.stalls, 1);

  // A program of the first version knows less, and gets no more.
  stream.size = offsetof(ombus_stream_info, occupancy_max);
  stream.occupancy_max = 77;
  CHECK_EQ(ombus_snapshot_get_stream(snapshot, &stream), OMBUS_OK);
  CHECK_EQ(stream.occupancy_max, 77);
  ombus_snapshot_free(snapshot);
  ombus_consumer_close(reader);
  ombus_producer_close(producer);
}

int main(void) {
  RUN(bad_input_is_refused);
  RUN(a_snapshot_shows_the_stream_and_its_consumers);
  RUN(a_snapshot_shows_the_batches_and_the_most_unread_records);
  return end_of_tests();
}
