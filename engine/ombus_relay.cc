#include "ombus/ombus_relay.h"

#include "engine/c_server_options.h"
#include "engine/c_struct.h"
#include "ombus/relay.h"

namespace ombus::engine {
namespace {

static_assert(static_cast<int>(OMBUS_IDLE_BUSY) == static_cast<int>(IdleStrategy::kBusy));
static_assert(static_cast<int>(OMBUS_IDLE_BACKOFF) == static_cast<int>(IdleStrategy::kBackoff));
static_assert(static_cast<int>(OMBUS_IDLE_SLEEP) == static_cast<int>(IdleStrategy::kSleep));
static_assert(static_cast<int>(OMBUS_STREAM_END_FOLLOW) == static_cast<int>(StreamEnd::kFollow));
static_assert(static_cast<int>(OMBUS_STREAM_END_EXIT) == static_cast<int>(StreamEnd::kExit));

constexpr uint64_t kFirstBytes =  // of the options' first version
    offsetof(ombus_relay_options, event_context) + sizeof(void*);
constexpr uint64_t kFirstStatsBytes = offsetof(ombus_relay_stats, turn_ns_max) + sizeof(uint64_t);

Relay* Of(ombus_relay* handle) { return reinterpret_cast<Relay*>(handle); }
const Relay* Of(const ombus_relay* handle) { return reinterpret_cast<const Relay*>(handle); }

ombus_relay_options Defaults() {
  const RelayOptions from;
  return {.size = sizeof(ombus_relay_options),
          .stream = nullptr,
          .server = nullptr,
          .cpu = from.cpu,
          .idle = static_cast<uint32_t>(from.idle),
          .idle_spin_ns = from.idle_spin_ns,
          .burst_min = from.burst_min,
          .burst_max = from.burst_max,
          .wait_clients = from.wait_clients,
          .on_end = static_cast<uint32_t>(from.on_end),
          .stream_wait_ms = from.stream_wait_ms,
          .flush_ms = from.flush_ms,
          .on_event = nullptr,
          .event_context = nullptr,
          .egress_threads = from.egress_threads,
          .egress_cpu_count = 0,
          .egress_cpus = nullptr};
}

Status Check(const char* call, const ombus_relay_options& options) {
  if (options.stream == nullptr) {
    return InvalidArgument(call, "stream", "NULL; give its name, as \"/orders\"");
  }
  if (options.egress_cpu_count != 0 && options.egress_cpus == nullptr) {
    return InvalidArgument(call, "egress_cpus", "NULL; give egress_cpu_count of them");
  }
  if (options.egress_cpu_count > options.egress_threads) {
    return InvalidArgument(call, "egress_cpu_count " + std::to_string(options.egress_cpu_count),
                           "one for each of egress_threads");
  }
  if (Status status =
          CheckChoice(call, "idle", options.idle, OMBUS_IDLE_SLEEP, "choose an OMBUS_IDLE_… value");
      !status.ok()) {
    return status;
  }
  return CheckChoice(call, "on_end", options.on_end, OMBUS_STREAM_END_EXIT,
                     "choose an OMBUS_STREAM_END_… value");
}

RelayOptions ToCpp(const ombus_relay_options& from) {
  RelayOptions to;
  to.stream = from.stream;
  to.cpu = from.cpu;
  to.idle = static_cast<IdleStrategy>(from.idle);
  to.idle_spin_ns = from.idle_spin_ns;
  to.burst_min = from.burst_min;
  to.burst_max = from.burst_max;
  to.wait_clients = from.wait_clients;
  to.on_end = static_cast<StreamEnd>(from.on_end);
  to.stream_wait_ms = from.stream_wait_ms;
  to.flush_ms = from.flush_ms;
  to.egress_threads = from.egress_threads;
  to.egress_cpus.assign(from.egress_cpus, from.egress_cpus + from.egress_cpu_count);
  if (from.on_event != nullptr) {
    to.on_event = [each = from.on_event, context = from.event_context](const ServerEvent& event) {
      each(static_cast<ombus_event_kind>(event.kind), event.text.c_str(), context);
    };
  }
  return to;
}

Result<ombus_relay*> Create(const char* call, const ombus_relay_options* given) {
  ombus_relay_options options = Defaults();
  if (Status status = ReadOptions(call, given, kFirstBytes, &options); !status.ok()) return status;
  if (Status status = Check(call, options); !status.ok()) return status;
  RelayOptions to = ToCpp(options);
  if (options.server != nullptr) {
    Result<ServerOptions> server = ReadServerOptions(call, options.server);
    if (!server.ok()) return server.status();
    to.server = std::move(*server);
  }
  auto relay = Relay::Create(to);
  if (!relay.ok()) return relay.status();
  return reinterpret_cast<ombus_relay*>(relay->release());
}

ombus_relay_stats ToC(const RelayStats& from) {
  return {.size = 0,
          .turns = from.turns,
          .busy_turns = from.busy_turns,
          .idle_turns = from.idle_turns,
          .sleeps = from.sleeps,
          .records_relayed = from.records_relayed,
          .gaps = from.gaps,
          .records_lost = from.records_lost,
          .records_missed = from.records_missed,
          .corrupt_records = from.corrupt_records,
          .records_too_large = from.records_too_large,
          .epoch_changes = from.epoch_changes,
          .head = from.head,
          .tail = from.tail,
          .burst = from.burst,
          .clients = from.clients,
          .attached = from.attached,
          .reserved = 0,
          .turn_ns_p50 = from.turn_ns.Percentile(50),
          .turn_ns_p99 = from.turn_ns.Percentile(99),
          .turn_ns_p999 = from.turn_ns.Percentile(99.9),
          .turn_ns_max = from.turn_ns.max()};
}

// Gives f the relay's statistics, whose copy may need memory.
template <typename F>
ombus_status WithStats(const ombus_relay* relay, F&& f) noexcept {
  if (relay == nullptr) return OMBUS_INVALID_ARGUMENT;
  ombus_status result = OMBUS_RESOURCE_EXHAUSTED;
  (void)RunGuarded([&] { result = f(Of(relay)->stats()); });
  return result;
}

}  // namespace
}  // namespace ombus::engine

using ombus::engine::Of;

extern "C" {

ombus_status ombus_relay_options_init(ombus_relay_options* options, size_t size) noexcept {
  return ombus::engine::InitOptions(options, size, ombus::engine::kFirstBytes,
                                    ombus::engine::Defaults());
}

ombus_relay* ombus_relay_create(const ombus_relay_options* options, ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_relay_create";
  return ombus::engine::MakeHandle<ombus_relay>(
      kCall, error, [&] { return ombus::engine::Create(kCall, options); });
}

ombus_status ombus_relay_run(ombus_relay* relay, ombus_error* error) noexcept {
  constexpr const char* kCall = "ombus_relay_run";
  return ombus::engine::ReportGuarded(kCall, error, [&] {
    return relay != nullptr ? Of(relay)->Run()
                            : ombus::engine::InvalidArgument(kCall, "relay", "NULL");
  });
}

void ombus_relay_stop(ombus_relay* relay) noexcept {
  if (relay != nullptr) Of(relay)->Stop();
}

void ombus_relay_destroy(ombus_relay* relay) noexcept { delete Of(relay); }

ombus_status ombus_relay_get_stats(const ombus_relay* relay, ombus_relay_stats* stats) noexcept {
  return ombus::engine::WithStats(relay, [&](const ombus::RelayStats& all) {
    return ombus::engine::FillStruct(stats, ombus::engine::kFirstStatsBytes,
                                     ombus::engine::ToC(all));
  });
}

ombus_status ombus_relay_get_server_stats(const ombus_relay* relay,
                                          ombus_server_stats* stats) noexcept {
  return ombus::engine::WithStats(relay, [&](const ombus::RelayStats& all) {
    return ombus::engine::FillServerStats(all.server, stats);
  });
}

ombus_status ombus_relay_get_egress_stats(const ombus_relay* relay, uint32_t thread,
                                          ombus_server_stats* stats) noexcept {
  return ombus::engine::WithStats(relay, [&](const ombus::RelayStats& all) {
    return thread < all.egress.size()
               ? ombus::engine::FillServerStats(all.egress[thread].server, stats)
               : OMBUS_INVALID_ARGUMENT;
  });
}

uint16_t ombus_relay_port(const ombus_relay* relay) noexcept {
  return relay == nullptr ? 0 : Of(relay)->port();
}
const char* ombus_relay_backend_name(const ombus_relay* relay) noexcept {
  return relay == nullptr ? "" : Of(relay)->backend_name();
}

}  // extern "C"
