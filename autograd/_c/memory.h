/* Memory for nodes, in chunks that are filled from front to back.

A sweep waits for memory, so nodes that are made one after another should lie one after another. A list of free nodes
loses this order when the first graph is freed; a chunk gets it back whenever all of its nodes are free. A chunk lies at
a multiple of its size, so the address of a node tells its chunk. Only nodes that are exactly Value, and tracers, lie here. */

#if defined(AUTOGRAD_PLAIN_MEMORY) /* for tools that watch every allocation */
static inline Value *take_memory(void)
{
    Value *node = PyMem_RawMalloc(sizeof(Value));
    return node ? node : (Value *)PyErr_NoMemory();
}
static inline void give_back(Value *node) { PyMem_RawFree(node); }
#else

#define CHUNK (1 << 16)
#define CHUNKS_KEPT 128 /* the most empty chunks that are kept for later: 8 MB */

typedef struct Chunk {
    struct Chunk *next, *before; /* in the list of chunks with room, or of empty chunks */
    Value *free;                 /* nodes that were given back, linked by their first operand */
    uint32_t used, fresh;
    bool listed;
} Chunk;

#define CHUNK_NODES ((CHUNK - 128) / sizeof(Value))

static Chunk *current, *with_room, *empty;
static Py_ssize_t empty_count;

#if defined(_WIN32)
#include <windows.h>
static void *new_chunk_memory(void) { return VirtualAlloc(NULL, CHUNK, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }
static void free_chunk_memory(void *chunk) { VirtualFree(chunk, 0, MEM_RELEASE); }
#else
static void *new_chunk_memory(void)
{
    void *chunk; /* 64 bytes short of CHUNK: malloc keeps its own data between two chunks */
    return posix_memalign(&chunk, CHUNK, CHUNK - 64) ? NULL : chunk;
}
static void free_chunk_memory(void *chunk) { free(chunk); }
#endif

static inline Chunk *chunk_of(Value *node) { return (Chunk *)((uintptr_t)node & ~(uintptr_t)(CHUNK - 1)); }
static inline bool has_room(const Chunk *chunk) { return chunk->free || chunk->fresh < CHUNK_NODES; }

static void list(Chunk *chunk)
{
    chunk->next = with_room;
    chunk->before = NULL;
    if (with_room)
        with_room->before = chunk;
    with_room = chunk;
    chunk->listed = true;
}

static void unlist(Chunk *chunk)
{
    if (chunk->before)
        chunk->before->next = chunk->next;
    else
        with_room = chunk->next;
    if (chunk->next)
        chunk->next->before = chunk->before;
    chunk->listed = false;
}

/* Make another chunk the current one: an empty one, else one with room, else a new one. */
static bool change_chunk(void)
{
    Chunk *chunk = empty;
    if (chunk) {
        empty = chunk->next;
        empty_count--;
    } else if ((chunk = with_room)) {
        unlist(chunk);
    } else if ((chunk = new_chunk_memory())) {
        *chunk = (Chunk){0};
    } else {
        return false;
    }
    current = chunk;
    return true;
}

static inline Value *take_memory(void)
{
    if ((!current || !has_room(current)) && !change_chunk())
        return (Value *)PyErr_NoMemory();
    Value *node = current->free;
    if (node)
        current->free = node->few.operands[0].node;
    else
        node = (Value *)((char *)current + 64) + current->fresh++;
    current->used++;
    return node;
}

static void keep_or_free(Chunk *chunk)
{
    if (chunk->listed)
        unlist(chunk);
    if (empty_count == CHUNKS_KEPT) {
        free_chunk_memory(chunk);
        return;
    }
    chunk->next = empty;
    empty = chunk;
    empty_count++;
}

static inline void give_back(Value *node)
{
    Chunk *chunk = chunk_of(node);
    node->few.operands[0].node = chunk->free;
    chunk->free = node;
    if (--chunk->used == 0) {
        chunk->free = NULL;
        chunk->fresh = 0;
        if (chunk != current)
            keep_or_free(chunk);
    } else if (chunk != current && !chunk->listed) {
        list(chunk);
    }
}

#endif
