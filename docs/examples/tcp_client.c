// Receives a stream over TCP and resumes after a restart: the sequence it is done with is kept in a
// cursor file. What the server no longer has is told as a gap, never skipped in silence.
//
//   tcp_client 127.0.0.1 7001 /var/lib/mine/cursor [STOP_AFTER]
//
// cc -std=c11 tcp_client.c $(pkg-config --cflags --libs ombus) -o tcp_client
#include <inttypes.h>
#include <ombus/ombus.h>
#include <stdio.h>
#include <stdlib.h>

static ombus_client* connect_from(const char* host, const char* port, uint64_t resume_from,
                                  ombus_error* error) {
  ombus_client_options options;
  ombus_client_options_init(&options, sizeof options);
  options.host = host;
  options.port = (uint32_t)strtoul(port, NULL, 10);
  options.resume_from = resume_from;  // 0: whatever comes next
  options.reconnect = 1;              // resumes by itself after a lost connection, too
  options.max_retries = 50;
  return ombus_client_connect(&options, error);
}

int main(int argc, char** argv) {
  if (argc < 4) return fprintf(stderr, "usage: tcp_client HOST PORT CURSOR [STOP_AFTER]\n"), 2;
  const char* cursor = argv[3];
  const uint64_t stop_after = argc > 4 ? strtoull(argv[4], NULL, 10) : UINT64_MAX;
  ombus_error error;
  uint64_t done = 0;  // the last sequence dealt with
  const ombus_status loaded = ombus_cursor_load(cursor, &done, &error);
  if (loaded != OMBUS_OK && loaded != OMBUS_NOT_FOUND) {
    return fprintf(stderr, "%s\n", error.message), 1;
  }
  ombus_client* client = connect_from(argv[1], argv[2], done == 0 ? 0 : done + 1, &error);
  if (client == NULL) return fprintf(stderr, "%s\n", error.message), 1;

  uint64_t records = 0, missing = 0;
  ombus_client_result result = OMBUS_CLIENT_EMPTY;
  while (result < OMBUS_CLIENT_END_OF_STREAM && records < stop_after) {
    ombus_record record;
    result = ombus_client_poll(client, &record, 1000000000);
    if (result == OMBUS_CLIENT_RECORD || result == OMBUS_CLIENT_GAP) {
      if (result == OMBUS_CLIENT_GAP) {
        missing += record.wal_seq - ombus_client_expected_wal_seq(client);
      }
      ++records;
      done = record.wal_seq;
    }
  }
  if (result == OMBUS_CLIENT_DISCONNECTED || result == OMBUS_CLIENT_PROTOCOL_ERROR) {
    ombus_client_status(client, &error);
    fprintf(stderr, "%s\n", error.message);
  }
  ombus_client_close(client);
  if (ombus_cursor_save(cursor, done, &error) != OMBUS_OK) {
    return fprintf(stderr, "%s\n", error.message), 1;
  }
  printf("received %" PRIu64 " records up to %" PRIu64 ", %" PRIu64 " missing\n", records, done,
         missing);
  return 0;
}
