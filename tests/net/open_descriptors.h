// OpenDescriptors: what this process has open, the folder that was read for it included.
#ifndef OMBUS_TESTS_NET_OPEN_DESCRIPTORS_H_
#define OMBUS_TESTS_NET_OPEN_DESCRIPTORS_H_

#include <dirent.h>

#include <cstdlib>
#include <vector>

namespace ombus::net {

inline std::vector<int> OpenDescriptors() {
  std::vector<int> all;
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return all;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') all.push_back(std::atoi(entry->d_name));
  }
  closedir(folder);
  return all;
}

}  // namespace ombus::net

#endif  // OMBUS_TESTS_NET_OPEN_DESCRIPTORS_H_
