/* How the scripted server words its answers: vLLM's chat chunks, a plain completion. */
#ifndef WORDS_H
#define WORDS_H

#include "wire.h"

#define EVENT_MAX 900
#define ANSWER_MAX (1 << 16)
#define EVENT_HEAD                                                                                 \
    "data: {\"id\":\"chatcmpl-%08x%08x\",\"object\":\"chat.completion.chunk\",\"created\":1735689600," \
    "\"model\":\"bench-7b\","

static inline size_t word_delta(char *event, int slot, int64_t request, const char *delta,
                                const char *finish)
{
    return (size_t)snprintf(event, EVENT_MAX,
                            EVENT_HEAD "\"choices\":[{\"index\":0,\"delta\":{%s},\"logprobs\":null,"
                                       "\"finish_reason\":%s}]}\n\n",
                            (unsigned)slot, (unsigned)request, delta, finish);
}

/* The usage event, which also carries the checksum of all events before it. */
static inline size_t word_usage(char *event, int slot, int64_t request, int tokens, uint64_t sum)
{
    return (size_t)snprintf(event, EVENT_MAX,
                            EVENT_HEAD "\"system_fingerprint\":\"" SUM_MARK "%016llx\",\"choices\":[],"
                                       "\"usage\":{\"prompt_tokens\":25,\"total_tokens\":%d,"
                                       "\"completion_tokens\":%d}}\n\n",
                            (unsigned)slot, (unsigned)request, (unsigned long long)sum,
                            25 + tokens, tokens);
}

/* A whole completion of about `size` bytes, at most half of ANSWER_MAX. */
static inline size_t word_answer(char *answer, size_t size)
{
    static const char head[] = "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":"
                               "1735689600,\"model\":\"bench-7b\",\"choices\":[{\"index\":0,"
                               "\"message\":{\"role\":\"assistant\",\"content\":\"";
    static const char tail[] = "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
                               "\"prompt_tokens\":25,\"total_tokens\":425,"
                               "\"completion_tokens\":400}}";
    size_t framing = sizeof head + sizeof tail - 2, at = sizeof head - 1;
    size_t text = size > framing ? size - framing : 1;
    memcpy(answer, head, at);
    for (size_t i = 0; i < text; i++)
        answer[at++] = "the quick brown fox jumps over it "[i % 34];
    memcpy(answer + at, tail, sizeof tail - 1);
    return at + sizeof tail - 1;
}

#endif
