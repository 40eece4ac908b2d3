// The C API of ombus, all of it. Each of these headers also stands alone; ombus/ombus_base.h says
// what holds for every call. Programs written for libombus include ombus/om_bus.h instead.
#ifndef OMBUS_OMBUS_H_
#define OMBUS_OMBUS_H_

#include "ombus/ombus_base.h"
#include "ombus/ombus_client.h"
#include "ombus/ombus_consumer.h"
#include "ombus/ombus_cursor.h"
#include "ombus/ombus_producer.h"
#include "ombus/ombus_relay.h"
#include "ombus/ombus_server.h"
#include "ombus/ombus_snapshot.h"

#endif  // OMBUS_OMBUS_H_
