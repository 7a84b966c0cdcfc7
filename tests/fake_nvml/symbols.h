/* The symbols of the fake driver: one line each, with the call's usual time in microseconds.
 *
 * `lib.delay realistic` sleeps for that time. Measured or reported by users: memory 12, rates 2.5,
 * fan 137, power 365 (Kepler), graphics processes 4500, PCIe throughput 20000; the others are
 * estimates for calls that do or do not reach the kernel module.
 */
#ifndef FAKE_NVML_SYMBOLS_H
#define FAKE_NVML_SYMBOLS_H

#define SYMBOLS(X)                                      \
    X(nvmlInit_v2, 20000)                               \
    X(nvmlInitWithFlags, 20000)                         \
    X(nvmlShutdown, 1000)                               \
    X(nvmlErrorString, 0)                               \
    X(nvmlSystemGetDriverVersion, 2)                    \
    X(nvmlSystemGetNVMLVersion, 1)                      \
    X(nvmlSystemGetCudaDriverVersion, 2)                \
    X(nvmlSystemGetCudaDriverVersion_v2, 2)             \
    X(nvmlSystemGetProcessName, 20)                     \
    X(nvmlDeviceGetCount_v2, 1)                         \
    X(nvmlDeviceGetHandleByIndex_v2, 2)                 \
    X(nvmlDeviceGetHandleByUUID, 5)                     \
    X(nvmlDeviceGetHandleByPciBusId_v2, 5)              \
    X(nvmlDeviceGetIndex, 1)                            \
    X(nvmlDeviceGetName, 2)                             \
    X(nvmlDeviceGetUUID, 2)                             \
    X(nvmlDeviceGetSerial, 2)                           \
    X(nvmlDeviceGetVbiosVersion, 2)                     \
    X(nvmlDeviceGetPciInfo_v3, 2)                       \
    X(nvmlDeviceGetMinorNumber, 2)                      \
    X(nvmlDeviceGetArchitecture, 1)                     \
    X(nvmlDeviceGetBrand, 1)                            \
    X(nvmlDeviceGetCudaComputeCapability, 1)            \
    X(nvmlDeviceGetNumGpuCores, 1)                      \
    X(nvmlDeviceGetMemoryBusWidth, 1)                   \
    X(nvmlDeviceGetPersistenceMode, 2)                  \
    X(nvmlDeviceGetComputeMode, 2)                      \
    X(nvmlDeviceGetMemoryInfo, 12)                      \
    X(nvmlDeviceGetMemoryInfo_v2, 12)                   \
    X(nvmlDeviceGetBAR1MemoryInfo, 12)                  \
    X(nvmlDeviceGetUtilizationRates, 2.5)               \
    X(nvmlDeviceGetEncoderUtilization, 2.5)             \
    X(nvmlDeviceGetDecoderUtilization, 2.5)             \
    X(nvmlDeviceGetSamples, 30)                         \
    X(nvmlDeviceGetTemperature, 15)                     \
    X(nvmlDeviceGetTemperatureV, 15)                    \
    X(nvmlDeviceGetMarginTemperature, 15)               \
    X(nvmlDeviceGetTemperatureThreshold, 10)            \
    X(nvmlDeviceGetClockInfo, 12)                       \
    X(nvmlDeviceGetMaxClockInfo, 5)                     \
    X(nvmlDeviceGetPowerUsage, 40)                      \
    X(nvmlDeviceGetPowerManagementLimit, 10)            \
    X(nvmlDeviceGetPowerManagementLimitConstraints, 10) \
    X(nvmlDeviceGetPowerManagementDefaultLimit, 10)     \
    X(nvmlDeviceGetEnforcedPowerLimit, 10)              \
    X(nvmlDeviceGetTotalEnergyConsumption, 40)          \
    X(nvmlDeviceGetCurrentClocksEventReasons, 10)       \
    X(nvmlDeviceGetCurrentClocksThrottleReasons, 10)    \
    X(nvmlDeviceGetSupportedClocksEventReasons, 5)      \
    X(nvmlDeviceGetSupportedClocksThrottleReasons, 5)   \
    X(nvmlDeviceGetPerformanceState, 10)                \
    X(nvmlDeviceGetFanSpeed, 137)                       \
    X(nvmlDeviceGetNumFans, 5)                          \
    X(nvmlDeviceGetFanSpeed_v2, 137)                    \
    X(nvmlDeviceGetCurrPcieLinkGeneration, 8)           \
    X(nvmlDeviceGetCurrPcieLinkWidth, 8)                \
    X(nvmlDeviceGetMaxPcieLinkGeneration, 4)            \
    X(nvmlDeviceGetMaxPcieLinkWidth, 4)                 \
    X(nvmlDeviceGetPcieReplayCounter, 10)               \
    X(nvmlDeviceGetFieldValues, 100)                    \
    X(nvmlDeviceGetEccMode, 5)                          \
    X(nvmlDeviceGetTotalEccErrors, 15)                  \
    X(nvmlDeviceGetSramEccErrorStatus, 30)              \
    X(nvmlDeviceGetRemappedRows, 15)                    \
    X(nvmlDeviceGetRowRemapperHistogram, 15)            \
    X(nvmlDeviceGetRetiredPages, 30)                    \
    X(nvmlDeviceGetRetiredPages_v2, 30)                 \
    X(nvmlDeviceGetRetiredPagesPendingStatus, 10)       \
    X(nvmlDeviceGetRepairStatus, 10)                    \
    X(nvmlDeviceGetNvLinkState, 5)                      \
    X(nvmlDeviceGetNvLinkVersion, 5)                    \
    X(nvmlDeviceGetNvLinkCapability, 5)                 \
    X(nvmlDeviceGetNvLinkErrorCounter, 15)              \
    X(nvmlDeviceGetNvLinkRemoteDeviceType, 5)           \
    X(nvmlDeviceGetGpuFabricInfo, 20)                   \
    X(nvmlDeviceGetGpuFabricInfoV, 20)                  \
    X(nvmlDeviceGetViolationStatus, 15)                 \
    X(nvmlDeviceGetMigMode, 3)                          \
    X(nvmlDeviceGetMaxMigDeviceCount, 2)                \
    X(nvmlDeviceGetMigDeviceHandleByIndex, 10)          \
    X(nvmlDeviceGetGpuInstanceId, 2)                    \
    X(nvmlDeviceGetComputeInstanceId, 2)                \
    X(nvmlDeviceGetAttributes_v2, 10)                   \
    X(nvmlDeviceIsMigDeviceHandle, 1)                   \
    X(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, 1)  \
    X(nvmlDeviceGetComputeRunningProcesses, 60)         \
    X(nvmlDeviceGetComputeRunningProcesses_v2, 60)      \
    X(nvmlDeviceGetComputeRunningProcesses_v3, 60)      \
    X(nvmlDeviceGetGraphicsRunningProcesses, 4500)      \
    X(nvmlDeviceGetGraphicsRunningProcesses_v2, 4500)   \
    X(nvmlDeviceGetGraphicsRunningProcesses_v3, 4500)   \
    X(nvmlDeviceGetMPSComputeRunningProcesses, 60)      \
    X(nvmlDeviceGetMPSComputeRunningProcesses_v2, 60)   \
    X(nvmlDeviceGetMPSComputeRunningProcesses_v3, 60)   \
    X(nvmlDeviceGetRunningProcessDetailList, 60)        \
    X(nvmlDeviceGetProcessUtilization, 60)              \
    X(nvmlDeviceGetProcessesUtilizationInfo, 60)        \
    X(nvmlGpmQueryDeviceSupport, 5)                     \
    X(nvmlGpmQueryIfStreamingEnabled, 5)                \
    X(nvmlGpmSampleAlloc, 5)                            \
    X(nvmlGpmSampleFree, 5)                             \
    X(nvmlGpmSampleGet, 150)                            \
    X(nvmlGpmMigSampleGet, 150)                         \
    X(nvmlGpmMetricsGet, 20)                            \
    X(nvmlDeviceGetSupportedEventTypes, 2)              \
    X(nvmlDeviceRegisterEvents, 50)                     \
    X(nvmlEventSetCreate, 10)                           \
    X(nvmlEventSetFree, 10)                             \
    X(nvmlEventSetWait_v2, 0)                           \
    X(nvmlSystemEventSetCreate, 10)                     \
    X(nvmlSystemEventSetFree, 10)                       \
    X(nvmlSystemRegisterEvents, 10)                     \
    X(nvmlSystemEventSetWait, 0)                        \
    X(nvmlDeviceGetPcieThroughput, 20000)               \
    X(nvmlDeviceGetGpuInstances, 20)

#define SYMBOL_NUMBER(name, us) S_##name,
enum symbol {
    SYMBOLS(SYMBOL_NUMBER) S_FIELD, /* `field`: an id inside nvmlDeviceGetFieldValues */
    S_GPM,                          /* `gpm`: an id inside nvmlGpmMetricsGet */
    S_EVERY,                        /* `*`: every symbol of a device */
    S_COUNT,
    S_NONE = -1,
};
#undef SYMBOL_NUMBER

#endif
