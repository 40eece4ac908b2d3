#include "ring/producers_created.h"

namespace ombus {

std::atomic<uint64_t> producers_created{0};

void NoteProducerCreated() {
  producers_created.fetch_add(1, std::memory_order_release);  // pairs with OmBusStream [superseded]
}

}  // namespace ombus
