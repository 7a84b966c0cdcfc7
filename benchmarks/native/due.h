/* Who is due next: a binary heap of moments, embedded in whatever waits for them. */
#ifndef DUE_H
#define DUE_H

#include <stdint.h>

#define DUE_MAX 8192

struct due {
    int64_t due_ns;
    int place; /* in the heap, -1 when not there */
};

static struct due *heap[DUE_MAX];
static int heap_size;

static void heap_put(int place, struct due *d)
{
    heap[place] = d;
    d->place = place;
}

static void heap_up(int place)
{
    struct due *d = heap[place];
    while (place > 0 && heap[(place - 1) / 2]->due_ns > d->due_ns) {
        heap_put(place, heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    heap_put(place, d);
}

static void heap_down(int place)
{
    struct due *d = heap[place];
    for (;;) {
        int child = 2 * place + 1;
        if (child >= heap_size)
            break;
        if (child + 1 < heap_size && heap[child + 1]->due_ns < heap[child]->due_ns)
            child++;
        if (heap[child]->due_ns >= d->due_ns)
            break;
        heap_put(place, heap[child]);
        place = child;
    }
    heap_put(place, d);
}

/* Sets the moment of `d`, whether it was waiting or not. */
static void schedule(struct due *d, int64_t due_ns)
{
    d->due_ns = due_ns;
    if (d->place < 0) {
        heap_put(heap_size, d);
        heap_size++;
    }
    heap_up(d->place);
    heap_down(d->place);
}

/* Takes `d` out of the heap; nothing happens when it is not in it. */
static void unschedule(struct due *d)
{
    int place = d->place;
    if (place < 0)
        return;
    d->place = -1;
    heap_size--;
    if (place == heap_size)
        return;
    heap_put(place, heap[heap_size]);
    heap_up(place);
    heap_down(heap[place]->place);
}

#endif
