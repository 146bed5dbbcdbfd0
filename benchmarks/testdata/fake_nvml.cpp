// Stands in for libnvidia-ml.so.1 where there is no driver: one GPU, "0000:65:00.0", that is held
// back by its power cap. It cannot tell its MIG mode.
#include <cstdio>
#include <cstring>

namespace {
int gpu = 0;
constexpr int not_found = 6;
}  // namespace

extern "C" {

int nvmlInit_v2() { return 0; }

int nvmlSystemGetDriverVersion(char* version, unsigned length) {
    std::snprintf(version, length, "580.12");
    return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(char const* bus_id, void** device) {
    if (std::strcmp(bus_id, "0000:65:00.0") != 0) return not_found;
    *device = &gpu;
    return 0;
}

int nvmlDeviceGetClockInfo(void* device, int clock, unsigned* mhz) {
    *mhz = clock == 1 ? 1410 : clock == 2 ? 1593 : 0;
    return device == &gpu ? 0 : not_found;
}

int nvmlDeviceGetMaxClockInfo(void*, int, unsigned* mhz) {
    *mhz = 1980;
    return 0;
}

int nvmlDeviceGetEnforcedPowerLimit(void*, unsigned* milliwatts) {
    *milliwatts = 350'500;
    return 0;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void*, unsigned long long* reasons) {
    *reasons = 0x4 | 0x40;
    return 0;
}

int nvmlDeviceGetEccMode(void*, unsigned* now, unsigned* pending) {
    *now = 1;
    *pending = 0;
    return 0;
}

}  // extern "C"
