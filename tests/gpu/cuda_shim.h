// CUDA C on the CPU, for tests: as much of the language as the kernels use.
//
// The threads of a block run one after another, the blocks too. A kernel with barriers gives every thread a stack of
// its own (a fiber), and a thread runs until it meets a barrier. In which order threads and blocks take turns is an
// argument of the launch: where a result depends on it, a barrier is missing or two threads write to one place.
//
// Included before the kernels' own source, which cpu_cuda.py puts into an unnamed namespace.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmath>
#include <utility>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// ---- the words of the language -------------------------------------------------------------------------------------

#define __CUDA_ARCH__ 900
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __constant__ static
#ifdef __SANITIZE_ADDRESS__
#define __shared__ static  // a global of its own, which AddressSanitizer fences
#else
#define __shared__ static __attribute__((section("shim_shared")))  // all in one place, to be overwritten between blocks
#endif

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
};
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static const int warpSize = 32;

// ---- threads, turns and barriers -----------------------------------------------------------------------------------

namespace shim {

enum Order { FORWARD, REVERSE, SHUFFLED };
enum State { READY, AT_BARRIER, AT_WARP_BARRIER, DONE };

// A place where to go on. A stack is entered by swapcontext, once; from then on setjmp and longjmp are faster, for they
// leave the signal mask alone, but AddressSanitizer takes a jump for the end of all that was called in between.
struct Place {
    ucontext_t context;
    jmp_buf jump;
    bool entered;
};

struct Fiber {
    Place place;
    State state;
    int line;  // of the barrier it waits at
    void *fake_stack;
};

static const unsigned MAX_THREADS = 1024;
static const size_t STACK_BYTES = 128 * 1024;

static Fiber fibers[MAX_THREADS];
static char *stacks = nullptr;
static Place scheduler;
static unsigned current, threads;
static bool in_fibers;
static unsigned long long exchange[MAX_THREADS];  // what shuffles pass from lane to lane
static char message[256];                         // the first error of a launch
static void (*run_body)(void *);
static void *body_arguments;
static char *dynamic_shared = nullptr;
static uint64_t random_state;

static void fail(const char *format, int line, int other = 0) {
    if (!message[0]) snprintf(message, sizeof message, format, line, other);
}

static unsigned random_below(unsigned bound) {
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)((random_state >> 33) % bound);
}

static void arrange(unsigned *turns, unsigned count, int order) {
    for (unsigned i = 0; i < count; ++i) turns[i] = order == REVERSE ? count - 1 - i : i;
    if (order == SHUFFLED)
        for (unsigned i = count; i > 1; --i) std::swap(turns[i - 1], turns[random_below(i)]);
}

// AddressSanitizer has to hear of every change of stack.
static void *scheduler_fake_stack = nullptr;
#ifdef __SANITIZE_ADDRESS__
static const void *scheduler_stack = nullptr;
static size_t scheduler_stack_bytes = 0;
static void leaving(void **keep, const void *stack, size_t bytes) { __sanitizer_start_switch_fiber(keep, stack, bytes); }
static void arrived(void *kept, bool in_fiber) {
    if (in_fiber) __sanitizer_finish_switch_fiber(kept, &scheduler_stack, &scheduler_stack_bytes);
    else __sanitizer_finish_switch_fiber(kept, nullptr, nullptr);
}
#else
static const void *scheduler_stack = nullptr;
static size_t scheduler_stack_bytes = 0;
static void leaving(void **, const void *, size_t) {}
static void arrived(void *, bool) {}
#endif

static void go(Place &from, Place &to) {
#ifdef __SANITIZE_ADDRESS__
    swapcontext(&from.context, &to.context);
#else
    from.entered = true;
    if (_setjmp(from.jump)) return;  // back here, when somebody goes to `from`
    if (to.entered) _longjmp(to.jump, 1);
    setcontext(&to.context);
#endif
}

static void to_thread(unsigned index) {
    current = index;
    threadIdx = {index % blockDim.x, index / blockDim.x % blockDim.y, index / (blockDim.x * blockDim.y)};
}

static void resume(unsigned index) {
    to_thread(index);
    leaving(&scheduler_fake_stack, stacks + index * STACK_BYTES, STACK_BYTES);
    go(scheduler, fibers[index].place);
    arrived(scheduler_fake_stack, false);
}

static void pause(State state, int line) {  // called in a fiber, which goes on here when its turn comes again
    if (!in_fibers) return fail("line %d: a barrier in a kernel where cpu_cuda.py saw none", line);
    Fiber &fiber = fibers[current];
    fiber.state = state;
    fiber.line = line;
    leaving(&fiber.fake_stack, scheduler_stack, scheduler_stack_bytes);
    go(fiber.place, scheduler);
    arrived(fiber.fake_stack, true);
}

static void fiber_main() {
    arrived(nullptr, true);
    run_body(body_arguments);
    fibers[current].state = DONE;
    leaving(nullptr, scheduler_stack, scheduler_stack_bytes);
    go(fibers[current].place, scheduler);
}

static void start_fiber(unsigned index) {
    Fiber &fiber = fibers[index];
    fiber.state = READY;
    fiber.fake_stack = nullptr;
    fiber.place.entered = false;
    getcontext(&fiber.place.context);
    fiber.place.context.uc_stack.ss_sp = stacks + index * STACK_BYTES;
    fiber.place.context.uc_stack.ss_size = STACK_BYTES;
    fiber.place.context.uc_link = nullptr;
    makecontext(&fiber.place.context, fiber_main, 0);
}

// Let the threads first .. last - 1 pass if all wait at this kind of barrier. Those that returned will never come.
static bool open_barrier(unsigned first, unsigned last, State kind) {
    unsigned waiting = 0, done = 0;
    int line = 0;
    for (unsigned i = first; i < last; ++i) {
        done += fibers[i].state == DONE;
        if (fibers[i].state != kind) continue;
        if (waiting++ && fibers[i].line != line)
            fail("divergent barrier: some threads wait in line %d, others in line %d", line, fibers[i].line);
        line = fibers[i].line;
    }
    if (!waiting || waiting + done < last - first) return false;
    if (done) fail("divergent barrier: the one in line %d is not reached by %d threads, which returned", line, done);
    for (unsigned i = first; i < last; ++i)
        if (fibers[i].state == kind) fibers[i].state = READY;
    return true;
}

static void run_fibers(int order) {
    if (!stacks) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        stacks = (char *)mmap(nullptr, MAX_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    }
    for (unsigned i = 0; i < threads; ++i) start_fiber(i);
    static unsigned turns[MAX_THREADS];
    for (unsigned alive = threads; alive;) {
        bool moved = false;
        arrange(turns, threads, order);
        for (unsigned i = 0; i < threads; ++i)
            if (fibers[turns[i]].state == READY) {
                resume(turns[i]);
                moved = true;
            }
        for (unsigned w = 0; w < threads; w += 32)
            moved |= open_barrier(w, w + 32 < threads ? w + 32 : threads, AT_WARP_BARRIER);
        moved |= open_barrier(0, threads, AT_BARRIER);
        alive = 0;
        for (unsigned i = 0; i < threads; ++i) alive += fibers[i].state != DONE;
        if (alive && !moved) fail("divergent barrier: %d threads wait for others that wait elsewhere", alive);
        if (message[0]) return;
    }
}

static void run_loop(int order) {  // a kernel without barriers needs no stacks
    static unsigned turns[MAX_THREADS];
    arrange(turns, threads, order);
    for (unsigned i = 0; i < threads; ++i) {
        to_thread(turns[i]);
        run_body(body_arguments);
    }
}

#ifdef __SANITIZE_ADDRESS__
static void spoil_shared_memory() {}
#else
extern "C" char __start_shim_shared[] __attribute__((weak)), __stop_shim_shared[] __attribute__((weak));
static void spoil_shared_memory() {  // a block finds no zeros there, and nothing that another one left
    if (__start_shim_shared) memset(__start_shim_shared, 0xFF, __stop_shim_shared - __start_shim_shared);
}
#endif

template <class Body>
static const char *launch(const unsigned *grid, const unsigned *block, int order, int has_barriers, unsigned shared_bytes,
                          Body body) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    threads = block[0] * block[1] * block[2];
    message[0] = 0;
    random_state = 1;
    run_body = [](void *arguments) { (*(Body *)arguments)(); };
    body_arguments = &body;
    in_fibers = has_barriers;
    dynamic_shared = (char *)malloc(shared_bytes);
    const unsigned blocks = grid[0] * grid[1] * grid[2];
    unsigned *turns = (unsigned *)malloc(blocks * sizeof(unsigned));
    arrange(turns, blocks, order);
    for (unsigned i = 0; i < blocks && !message[0]; ++i) {
        blockIdx = {turns[i] % grid[0], turns[i] / grid[0] % grid[1], turns[i] / (grid[0] * grid[1])};
        spoil_shared_memory();
        memset(dynamic_shared, 0xFF, shared_bytes);
        if (has_barriers) run_fibers(order);
        else run_loop(order);
    }
    free(turns);
    free(dynamic_shared);
    return message[0] ? message : nullptr;
}

static void check_mask(unsigned mask, int line) {
    if (mask != 0xffffffffu) fail("line %d: cuda_shim.h knows warps of all 32 lanes only", line);
}

template <class T>
static T from_lane(T value, unsigned mask, int lane, int line) {
    const unsigned source = (current & ~31u) + lane;
    check_mask(mask, line);
    memcpy(&exchange[current], &value, sizeof value);
    pause(AT_WARP_BARRIER, line);
    if (source < threads) memcpy(&value, &exchange[source], sizeof value);
    else fail("line %d: a shuffle reads lane %d, where the block has no thread", line, lane);
    pause(AT_WARP_BARRIER, line);
    return value;
}

static inline int lane() { return (int)(current & 31u); }

static inline bool vote(bool value, unsigned mask, bool all, int line) {
    check_mask(mask, line);
    exchange[current] = value;
    pause(AT_WARP_BARRIER, line);
    bool result = all;
    for (unsigned i = current & ~31u; i < threads && i <= (current | 31u); ++i)
        result = all ? result && exchange[i] : result || exchange[i];
    pause(AT_WARP_BARRIER, line);
    return result;
}

static inline int count_votes(bool value, int line) {
    exchange[current] = value;
    pause(AT_BARRIER, line);
    int count = 0;
    for (unsigned i = 0; i < threads; ++i) count += exchange[i] != 0;
    pause(AT_BARRIER, line);
    return count;
}

}  // namespace shim

// cpu_cuda.py looks for these names to see whether a kernel needs fibers.
#define __syncthreads() shim::pause(shim::AT_BARRIER, __LINE__)
#define __syncthreads_or(value) (shim::count_votes(value, __LINE__) != 0)
#define __syncthreads_and(value) (shim::count_votes(value, __LINE__) == (int)shim::threads)
#define __syncthreads_count(value) shim::count_votes(value, __LINE__)
#define __syncwarp(...) shim::pause(shim::AT_WARP_BARRIER, __LINE__)
#define __shfl_sync(mask, value, source) shim::from_lane(value, mask, (source) & 31, __LINE__)
#define __shfl_xor_sync(mask, value, bits) shim::from_lane(value, mask, shim::lane() ^ (bits), __LINE__)
#define __shfl_down_sync(mask, value, by) \
    shim::from_lane(value, mask, shim::lane() + (int)(by) < 32 ? shim::lane() + (int)(by) : shim::lane(), __LINE__)
#define __shfl_up_sync(mask, value, by) \
    shim::from_lane(value, mask, shim::lane() >= (int)(by) ? shim::lane() - (int)(by) : shim::lane(), __LINE__)
#define __any_sync(mask, value) shim::vote(value, mask, false, __LINE__)
#define __all_sync(mask, value) shim::vote(value, mask, true, __LINE__)

static inline void __threadfence() {}
static inline void __threadfence_block() {}

// ---- functions -----------------------------------------------------------------------------------------------------

// Threads take turns at barriers only, so plain memory operations are atomic.
template <class T, class U> static inline T atomicAdd(T *p, U v) { T old = *p; *p = old + (T)v; return old; }
template <class T, class U> static inline T atomicMax(T *p, U v) { T old = *p; *p = old > (T)v ? old : (T)v; return old; }
template <class T, class U> static inline T atomicMin(T *p, U v) { T old = *p; *p = old < (T)v ? old : (T)v; return old; }
template <class T, class U> static inline T atomicOr(T *p, U v) { T old = *p; *p = old | (T)v; return old; }
template <class T, class U> static inline T atomicExch(T *p, U v) { T old = *p; *p = (T)v; return old; }
template <class T, class U, class V> static inline T atomicCAS(T *p, U compare, V v) {
    T old = *p;
    if (old == (T)compare) *p = (T)v;
    return old;
}
template <class T> static inline T __ldg(const T *p) { return *p; }

using std::abs; using std::ceil; using std::copysign; using std::cos; using std::erf; using std::erfc; using std::exp;
using std::exp2; using std::expm1; using std::fabs; using std::floor; using std::fma; using std::fmax; using std::fmin;
using std::fmod; using std::isfinite; using std::isinf; using std::isnan; using std::log; using std::log1p;
using std::log2; using std::pow; using std::rint; using std::round; using std::sin; using std::sqrt; using std::tanh;
using std::trunc;

// CUDA's min and max take numbers of two types; of a NaN and a number, those of floats return the number.
template <class A, class B> static inline auto min(A a, B b) -> decltype(a + b) {
    using T = decltype(a + b);
    if constexpr (T(0.5) != 0) return fmin((T)a, (T)b);
    else return (T)b < (T)a ? (T)b : (T)a;
}
template <class A, class B> static inline auto max(A a, B b) -> decltype(a + b) {
    using T = decltype(a + b);
    if constexpr (T(0.5) != 0) return fmax((T)a, (T)b);
    else return (T)a < (T)b ? (T)b : (T)a;
}

static inline float rsqrt(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __float_as_int(float x) { int i; memcpy(&i, &x, sizeof i); return i; }
static inline float __int_as_float(int x) { float f; memcpy(&f, &x, sizeof f); return f; }
static inline unsigned __float_as_uint(float x) { unsigned i; memcpy(&i, &x, sizeof i); return i; }
static inline float __uint_as_float(unsigned x) { float f; memcpy(&f, &x, sizeof f); return f; }
static inline long long __double_as_longlong(double x) { long long i; memcpy(&i, &x, sizeof i); return i; }
static inline double __longlong_as_double(long long x) { double f; memcpy(&f, &x, sizeof f); return f; }
#define __expf expf  // glibc declares the name itself
#define __logf logf
#define __powf powf

// Vectors, which load and store 8 or 16 bytes at once; misaligned pointers are found by -fsanitize=alignment.
#define SHIM_VECTORS(T, N2, N4)                                                               \
    struct alignas(2 * sizeof(T)) N2 { T x, y; };                                             \
    struct alignas(16) N4 { T x, y, z, w; };                                                  \
    static inline N2 make_##N2(T x, T y) { return {x, y}; }                                   \
    static inline N4 make_##N4(T x, T y, T z, T w) { return {x, y, z, w}; }
SHIM_VECTORS(float, float2, float4)
SHIM_VECTORS(double, double2, double4)
SHIM_VECTORS(int, int2, int4)
SHIM_VECTORS(unsigned, uint2, uint4)
#undef SHIM_VECTORS
