#include "tools/io_flags.h"

namespace ombus::tools {
namespace {

constexpr uint32_t kBusyPollUsMax = 1'000'000;
constexpr uint32_t kSqPollIdleMsMax = 60'000;  // more would be a core for nothing

}  // namespace

void IoFlags::AddTo(FlagTable* flags) {
  flags->push_back({"send-mode", "WORD",
                    "io_uring: fixed, plain, zc (zero-copy from 16 KiB up) or auto",
                    Choice{&send_mode_, {"fixed", "plain", "zc", "auto"}}});
  flags->push_back({"busy-poll-us", "N", "SO_BUSY_POLL of the clients' sockets; 0: off",
                    Number32{&busy_poll_us_, 0, kBusyPollUsMax}});
  flags->push_back({"napi-busy-poll-us", "N",
                    "io_uring polls the network card when it waits; 0: off",
                    Number32{&napi_busy_poll_us_, 0, kBusyPollUsMax}});
  flags->push_back({"congestion-control", "NAME", "TCP_CONGESTION, as cubic; empty: the system's",
                    &congestion_control_});
  flags->push_back({"send-buffer-bytes", "BYTES",
                    "SO_SNDBUF of each client; 0: the kernel's own tuning",
                    Bytes{&send_buffer_bytes_, 1u << 30}});
  flags->push_back({"incoming-cpu", "N", "SO_INCOMING_CPU of the listening socket; -1: off",
                    Integer{&incoming_cpu_, -1, kCpuMax}});
  flags->push_back(
      {"sq-poll", "", "io_uring: a kernel thread submits, and takes a core", &sq_poll_});
  flags->push_back({"sq-poll-cpu", "N", "where that thread runs; -1: anywhere",
                    Integer{&sq_poll_cpu_, -1, kCpuMax}});
  flags->push_back({"sq-poll-idle-ms", "TIME",
                    "that thread sleeps after so long without work (default 100ms)",
                    Millis{&sq_poll_idle_ms_, 1, kSqPollIdleMsMax}});
}

IoOptions IoFlags::Options() const {
  return {
      .send_mode = send_mode_ == "plain"  ? SendMode::kPlain
                   : send_mode_ == "zc"   ? SendMode::kZeroCopy
                   : send_mode_ == "auto" ? SendMode::kAuto
                                          : SendMode::kFixed,
      .busy_poll_us = busy_poll_us_,
      .napi_busy_poll_us = napi_busy_poll_us_,
      .congestion_control = congestion_control_,
      .incoming_cpu = incoming_cpu_,
      .sq_poll = sq_poll_ || sq_poll_cpu_ >= 0 || sq_poll_idle_ms_ != 0,
      .sq_poll_cpu = sq_poll_cpu_,
      .sq_poll_idle_ms = sq_poll_idle_ms_ != 0 ? sq_poll_idle_ms_ : IoOptions().sq_poll_idle_ms};
}

}  // namespace ombus::tools
