// ombus_record is Record by another name: the same bytes, so that none is converted. The C type
// may alias others (its attribute), which makes reading the one as the other well-defined.
#ifndef OMBUS_ENGINE_C_RECORD_H_
#define OMBUS_ENGINE_C_RECORD_H_

#include <cstddef>
#include <span>

#include "ombus/ombus_base.h"
#include "ombus/record.h"

namespace ombus::engine {

static_assert(sizeof(ombus_record) == sizeof(Record) && alignof(ombus_record) == alignof(Record));
static_assert(offsetof(ombus_record, wal_seq) == offsetof(Record, wal_seq));
static_assert(offsetof(ombus_record, payload) == offsetof(Record, payload));
static_assert(offsetof(ombus_record, size) == offsetof(Record, size));
static_assert(offsetof(ombus_record, type) == offsetof(Record, type));
static_assert(offsetof(ombus_record, flags) == offsetof(Record, flags));
static_assert(OMBUS_RECORD_GAP == kRecordGap && OMBUS_RECORD_REORDER == kRecordReorder);

inline Record* AsRecord(ombus_record* record) { return reinterpret_cast<Record*>(record); }
inline const Record& AsRecord(const ombus_record& record) {
  return reinterpret_cast<const Record&>(record);
}
inline const ombus_record* AsC(const Record& record) {
  return reinterpret_cast<const ombus_record*>(&record);
}
inline std::span<const Record> AsRecords(const ombus_record* records, size_t count) {
  return {reinterpret_cast<const Record*>(records), count};
}
inline std::span<Record> AsRecords(ombus_record* records, size_t count) {
  return {reinterpret_cast<Record*>(records), count};
}

// Whether there is a record whose payload can be read.
inline bool Publishable(const ombus_record* record) {
  return record != nullptr && (record->payload != nullptr || record->size == 0);
}
inline bool Publishable(const ombus_record* records, size_t count) {
  if (records == nullptr) return count == 0;
  for (size_t i = 0; i < count; ++i) {
    if (!Publishable(records + i)) return false;
  }
  return true;
}

}  // namespace ombus::engine

#endif  // OMBUS_ENGINE_C_RECORD_H_
