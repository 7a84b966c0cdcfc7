/* Shapes of calls that most calls have. */
#ifndef FAKE_NVML_ANSWERS_H
#define FAKE_NVML_ANSWERS_H

#include "fake_nvml.h"

#define WHOLE(pointer) ((struct region){(pointer), sizeof *(pointer)})
#define NO_REGION ((struct region){NULL, 0})
#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define VERSION_OF(number) ((int64_t)((number) >> 24))

typedef struct handle *device_t;

#endif
