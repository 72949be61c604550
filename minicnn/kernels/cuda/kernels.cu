// minicnn's kernels for NVIDIA GPUs, to be read next to the plain bodies in minicnn/ops.
//
// A kernel is a function that thousands of threads run at once, each for other numbers. A thread learns from blockIdx
// and threadIdx who it is, works out which number of the result is its own, computes it and writes it. Nearly all
// kernels here are of this form, called gather: who owns a number writes it, so nobody waits for anybody, and a sum is
// added up in the same order every time. Threads of one block can also work together, through __shared__ memory; after
// every exchange they meet at __syncthreads(), for what has not been written yet must not be read.
//
// Arrays lie in memory row by row, images as (N, C, H, W). The file is compiled twice, with REAL = float and
// REAL = double. It includes nothing, so that any C++ compiler can check it, and run it thread by thread.

#ifndef REAL
#define REAL float
#endif
typedef REAL real;

#define THREADS 256  // in a block, wherever threads work together; minicnn/kernels/cuda/module.py launches as many

// The loop of a thread over its share of `count` numbers: its own, then those as far on as there are threads in all.
// Neighbours in a block take neighbours in memory, which the hardware fetches together.
#define FOR_EACH(i, count)                                                                \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (count);      \
         i += (long long)gridDim.x * blockDim.x)

// ---------------------------------------------------------------------------------------------------------------------
// Windows: unfolding, folding, pooling

// How windows lie on an image, as in minicnn/geometry.py. A pixel (i, j) of the output has its window at rows
// i * stride_h - top + p * dilation_h and columns j * stride_w - left + q * dilation_w, for (p, q) in the kernel.
struct Windows {
    int n, c, h, w, kh, kw, stride_h, stride_w, dilation_h, dilation_w, top, left, oh, ow;
};

// cols (N, C * kh * kw, oh * ow): column l of an image holds its l-th window. One thread for each of its numbers.
extern "C" __global__ void im2col(const real* x, real* cols, const Windows g)
{
    FOR_EACH(index, (long long)g.n * g.c * g.kh * g.kw * g.oh * g.ow) {
        long long rest = index;  // the last axis is taken off first: (n, c, p, q, i, j)
        const int j = rest % g.ow; rest /= g.ow;
        const int i = rest % g.oh; rest /= g.oh;
        const int q = rest % g.kw; rest /= g.kw;
        const int p = rest % g.kh; rest /= g.kh;  // what is left counts the channels of all images
        const int row = i * g.stride_h - g.top + p * g.dilation_h;
        const int column = j * g.stride_w - g.left + q * g.dilation_w;
        const bool inside = 0 <= row && row < g.h && 0 <= column && column < g.w;
        cols[index] = inside ? x[(rest * g.h + row) * g.w + column] : real(0);
    }
}

// The adjoint: every pixel of x (N, C, H, W) is the sum of its entries in all columns. The thread of a pixel goes over
// the kernel, and asks at each (p, q) whether there is a window that has the pixel at that place.
extern "C" __global__ void col2im(const real* cols, real* x, const Windows g)
{
    FOR_EACH(index, (long long)g.n * g.c * g.h * g.w) {
        const int column = index % g.w, row = index / g.w % g.h;
        const long long channel = index / g.w / g.h;
        real sum = 0;
        for (int p = 0; p < g.kh; ++p) {
            const int down = row + g.top - p * g.dilation_h, i = down / g.stride_h;
            if (down < 0 || down % g.stride_h != 0 || i >= g.oh) continue;
            for (int q = 0; q < g.kw; ++q) {
                const int right = column + g.left - q * g.dilation_w, j = right / g.stride_w;
                if (right < 0 || right % g.stride_w != 0 || j >= g.ow) continue;
                sum += cols[(((channel * g.kh + p) * g.kw + q) * g.oh + i) * g.ow + j];
            }
        }
        x[index] = sum;
    }
}

// y (N, C, oh, ow) is the largest number of each window, argmax where it stands (p * kw + q). One thread a window.
// The first of equal maxima wins, and a NaN counts as the largest.
extern "C" __global__ void max_pool2d_forward(const real* x, real* y, unsigned char* argmax, const Windows g)
{
    FOR_EACH(index, (long long)g.n * g.c * g.oh * g.ow) {
        const int j = index % g.ow, i = index / g.ow % g.oh;
        const real* image = x + index / g.ow / g.oh * g.h * g.w;
        const int row = i * g.stride_h - g.top, column = j * g.stride_w - g.left;
        const int first_p = row < 0 ? -row : 0, first_q = column < 0 ? -column : 0;
        real best = image[(row + first_p) * g.w + column + first_q];
        int place = first_p * g.kw + first_q;
        for (int p = first_p; p < g.kh && row + p < g.h; ++p)
            for (int q = first_q; q < g.kw && column + q < g.w; ++q) {
                const real value = image[(row + p) * g.w + column + q];
                if (value > best || value != value) {
                    best = value;
                    place = p * g.kw + q;
                }
            }
        y[index] = best;
        argmax[index] = place;
    }
}

// A pixel of dx (N, C, H, W) gets the gradients of those windows whose maximum it was. One thread a pixel, as in col2im.
extern "C" __global__ void max_pool2d_backward(
    const real* dy, const unsigned char* argmax, real* dx, const Windows g)
{
    FOR_EACH(index, (long long)g.n * g.c * g.h * g.w) {
        const int column = index % g.w, row = index / g.w % g.h;
        const long long channel = index / g.w / g.h;
        real sum = 0;
        for (int p = 0; p < g.kh; ++p) {
            const int down = row + g.top - p, i = down / g.stride_h;
            if (down < 0 || down % g.stride_h != 0 || i >= g.oh) continue;
            for (int q = 0; q < g.kw; ++q) {
                const int right = column + g.left - q, j = right / g.stride_w;
                if (right < 0 || right % g.stride_w != 0 || j >= g.ow) continue;
                const long long window = (channel * g.oh + i) * g.ow + j;
                if (argmax[window] == p * g.kw + q) sum += dy[window];
            }
        }
        dx[index] = sum;
    }
}

// y is the mean of each window; what lies outside of the image counts as zeros.
extern "C" __global__ void avg_pool2d_forward(const real* x, real* y, const Windows g)
{
    FOR_EACH(index, (long long)g.n * g.c * g.oh * g.ow) {
        const int j = index % g.ow, i = index / g.ow % g.oh;
        const real* image = x + index / g.ow / g.oh * g.h * g.w;
        real sum = 0;
        for (int p = 0; p < g.kh; ++p)
            for (int q = 0; q < g.kw; ++q) {
                const int row = i * g.stride_h - g.top + p, column = j * g.stride_w - g.left + q;
                if (0 <= row && row < g.h && 0 <= column && column < g.w) sum += image[row * g.w + column];
            }
        y[index] = sum / (g.kh * g.kw);
    }
}

// A pixel of dx gets an equal share of the gradients of all windows over it.
extern "C" __global__ void avg_pool2d_backward(const real* dy, real* dx, const Windows g)
{
    FOR_EACH(index, (long long)g.n * g.c * g.h * g.w) {
        const int column = index % g.w, row = index / g.w % g.h;
        const long long channel = index / g.w / g.h;
        real sum = 0;
        for (int p = 0; p < g.kh; ++p) {
            const int down = row + g.top - p, i = down / g.stride_h;
            if (down < 0 || down % g.stride_h != 0 || i >= g.oh) continue;
            for (int q = 0; q < g.kw; ++q) {
                const int right = column + g.left - q, j = right / g.stride_w;
                if (right < 0 || right % g.stride_w != 0 || j >= g.ow) continue;
                sum += dy[(channel * g.oh + i) * g.ow + j] / (g.kh * g.kw);
            }
        }
        dx[index] = sum;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Activations

// y (N, C, size) = y + b, one number a channel, and then perhaps ReLU; in place, on the way out of a matrix product.
extern "C" __global__ void add_bias(real* y, const real* b, int channels, int size, long long count, int relu)
{
    FOR_EACH(i, count) {
        const real value = y[i] + b[i / size % channels];
        y[i] = relu && value < 0 ? real(0) : value;
    }
}

// dx = dy where y is positive, else 0.
extern "C" __global__ void relu_backward(const real* dy, const real* y, real* dx, long long count)
{
    FOR_EACH(i, count) dx[i] = y[i] > 0 ? dy[i] : real(0);
}

// ---------------------------------------------------------------------------------------------------------------------
// Reductions: a block of THREADS threads makes one number of many

// Every thread hands in a number, and all get the sum, or the largest. In each round the lower half of the threads takes
// in what the upper half has: 8 rounds for 256. Each number goes through 8 additions instead of up to 255, and as few
// rounding errors.
__device__ real block_reduce(real value, bool largest)
{
    __shared__ real numbers[THREADS];
    const int t = threadIdx.x;
    numbers[t] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) {
            const real other = numbers[t + half];
            if (!largest) numbers[t] += other;
            else if (other > numbers[t]) numbers[t] = other;
        }
        __syncthreads();
    }
    const real result = numbers[0];
    __syncthreads();  // before anybody writes to `numbers` again, all must have read
    return result;
}

__device__ real block_sum(real value) { return block_reduce(value, false); }
__device__ real block_max(real value) { return block_reduce(value, true); }

// ---------------------------------------------------------------------------------------------------------------------
// Batch normalisation: a block for every channel of x (N, C, size)

// Number i of a channel, counted over all images, stands here.
__device__ long long place_in_channel(long long i, int channel, int channels, int size)
{
    return (i / size * channels + channel) * size + i % size;
}

// y = gamma * (x - mean) * inv_std + beta, and perhaps ReLU. The mean comes first and then the mean of the squared
// deviations from it: E[x^2] - mean^2 in one pass would lose all digits where the mean is large.
extern "C" __global__ void batch_norm_forward(
    const real* x, const real* gamma, const real* beta, real* y, real* mean, real* inv_std,
    int images, int channels, int size, real eps, int relu)
{
    const int channel = blockIdx.x;
    const long long m = (long long)images * size;
    real sum = 0;
    for (long long i = threadIdx.x; i < m; i += THREADS) sum += x[place_in_channel(i, channel, channels, size)];
    const real mu = block_sum(sum) / m;

    sum = 0;
    for (long long i = threadIdx.x; i < m; i += THREADS) {
        const real deviation = x[place_in_channel(i, channel, channels, size)] - mu;
        sum += deviation * deviation;
    }
    const real inverse = 1 / sqrt(block_sum(sum) / m + eps);

    const real scale = gamma[channel] * inverse, shift = beta[channel];
    for (long long i = threadIdx.x; i < m; i += THREADS) {
        const long long at = place_in_channel(i, channel, channels, size);
        const real value = (x[at] - mu) * scale + shift;
        y[at] = relu && value < 0 ? real(0) : value;
    }
    if (threadIdx.x == 0) {
        mean[channel] = mu;
        inv_std[channel] = inverse;
    }
}

// dbeta = sum dy, dgamma = sum dy * x_hat, dx = gamma * inv_std * (dy - dbeta / m - x_hat * dgamma / m). With `relu`,
// dy counts only where what came out was positive; that is computed anew, for reading it would take longer.
extern "C" __global__ void batch_norm_backward(
    const real* dy, const real* x, const real* gamma, const real* beta, const real* mean, const real* inv_std,
    real* dx, real* dgamma, real* dbeta, int images, int channels, int size, int relu)
{
    const int channel = blockIdx.x;
    const long long m = (long long)images * size;
    const real mu = mean[channel], inverse = inv_std[channel], scale = gamma[channel] * inverse;
    real sum = 0, sum_with_x = 0;
    for (long long i = threadIdx.x; i < m; i += THREADS) {
        const long long at = place_in_channel(i, channel, channels, size);
        const bool passes = !relu || (x[at] - mu) * scale + beta[channel] > 0;
        const real gradient = passes ? dy[at] : real(0);
        sum += gradient;
        sum_with_x += gradient * ((x[at] - mu) * inverse);
    }
    const real of_beta = block_sum(sum), of_gamma = block_sum(sum_with_x);

    for (long long i = threadIdx.x; i < m; i += THREADS) {
        const long long at = place_in_channel(i, channel, channels, size);
        const bool passes = !relu || (x[at] - mu) * scale + beta[channel] > 0;
        const real gradient = passes ? dy[at] : real(0);
        dx[at] = scale * (gradient - of_beta / m - (x[at] - mu) * inverse * (of_gamma / m));
    }
    if (threadIdx.x == 0) {
        dbeta[channel] = of_beta;
        dgamma[channel] = of_gamma;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Softmax cross-entropy: a block for every row of the scores (N, K)

// What class k should be predicted with, times its weight: smoothing / K for all, and 1 - smoothing more for the label.
__device__ real target(int k, long long label, const real* weights, real smoothing, int classes)
{
    return weights[k] * (smoothing / classes + (k == label ? 1 - smoothing : real(0)));
}

// p (N, K) = softmax of the row; losses[n] = - sum over k of target * log p; row_weights[n] = the weight of its label.
extern "C" __global__ void softmax_cross_entropy_forward(
    const real* logits, const long long* labels, const real* weights, real* p, real* losses, real* row_weights,
    int classes, real smoothing)
{
    const long long n = blockIdx.x, label = labels[n];
    const real* scores = logits + n * classes;
    real most = scores[0];
    for (int k = threadIdx.x; k < classes; k += THREADS) most = scores[k] > most ? scores[k] : most;
    most = block_max(most);  // subtracted, so that exp cannot overflow

    real sum = 0;
    for (int k = threadIdx.x; k < classes; k += THREADS) sum += exp(scores[k] - most);
    const real log_sum = log(block_sum(sum));

    real loss = 0;
    for (int k = threadIdx.x; k < classes; k += THREADS) {
        const real log_p = scores[k] - most - log_sum;
        p[n * classes + k] = exp(log_p);
        loss -= target(k, label, weights, smoothing, classes) * log_p;
    }
    loss = block_sum(loss);
    if (threadIdx.x == 0) {
        losses[n] = loss;
        row_weights[n] = 0 <= label && label < classes ? weights[label] : real(0);
    }
}

// mean[0] = sum of the numbers / sum of their weights. One block.
extern "C" __global__ void weighted_mean(const real* numbers, const real* weights, real* mean, int count)
{
    real sum = 0, weight = 0;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        sum += numbers[i];
        weight += weights[i];
    }
    sum = block_sum(sum);
    weight = block_sum(weight);
    if (threadIdx.x == 0) mean[0] = sum / weight;
}

// dlogits = (p * sum over k of target - target) / total, `total` being the weight of all labels together: one number.
extern "C" __global__ void softmax_cross_entropy_backward(
    const real* p, const long long* labels, const real* weights, const real* total, real* dlogits,
    int classes, real smoothing)
{
    const long long n = blockIdx.x, label = labels[n];
    real sum = 0;
    for (int k = threadIdx.x; k < classes; k += THREADS) sum += target(k, label, weights, smoothing, classes);
    sum = block_sum(sum);
    for (int k = threadIdx.x; k < classes; k += THREADS) {
        const long long at = n * classes + k;
        dlogits[at] = (p[at] * sum - target(k, label, weights, smoothing, classes)) / total[0];
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Random numbers and dropout: the same bits as on the CPU, without a transfer

// A key names a draw: the seed of the run in two words, the stream of whoever draws, the step in two words.
struct Key {
    unsigned seed_low, seed_high, stream, step_low, step_high;
};

// Philox 4x32-10 (Salmon et al., SC 2011, section 4.3): ten rounds of multiplying and mixing make four random numbers
// of a block's number and a key.
__device__ void philox(unsigned long long block, const Key key, unsigned* numbers)
{
    unsigned c0 = (unsigned)block, c1 = key.stream, c2 = key.step_low, c3 = key.step_high;
    unsigned k0 = key.seed_low, k1 = key.seed_high;
    for (int round = 0; round < 10; ++round) {
        const unsigned long long product0 = 0xD2511F53ull * c0, product1 = 0xCD9E8D57ull * c2;
        c0 = (unsigned)(product1 >> 32) ^ c1 ^ k0;
        c1 = (unsigned)product1;
        c2 = (unsigned)(product0 >> 32) ^ c3 ^ k1;
        c3 = (unsigned)product0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    numbers[0] = c0; numbers[1] = c1; numbers[2] = c2; numbers[3] = c3;
}

// The first `count` 32-bit numbers of a key. One thread makes four.
extern "C" __global__ void random_bits(unsigned* bits, const Key key, long long count)
{
    FOR_EACH(block, (count + 3) / 4) {
        unsigned numbers[4];
        philox(block, key, numbers);
        for (int i = 0; i < 4 && 4 * block + i < count; ++i) bits[4 * block + i] = numbers[i];
    }
}

// y = x * mask * scale, where the n-th number is kept if the n-th random number is at least the threshold.
extern "C" __global__ void dropout_forward(
    const real* x, real* y, unsigned char* mask, const Key key, unsigned threshold, real scale, long long count)
{
    FOR_EACH(block, (count + 3) / 4) {
        unsigned numbers[4];
        philox(block, key, numbers);
        for (int i = 0; i < 4 && 4 * block + i < count; ++i) {
            const long long at = 4 * block + i;
            const bool kept = numbers[i] >= threshold;
            mask[at] = kept;
            y[at] = x[at] * real(kept) * scale;
        }
    }
}

// dx = dy * mask * scale.
extern "C" __global__ void dropout_backward(
    const real* dy, const unsigned char* mask, real* dx, real scale, long long count)
{
    FOR_EACH(i, count) dx[i] = dy[i] * real(mask[i] != 0) * scale;
}

// ---------------------------------------------------------------------------------------------------------------------
// Optimizers: all parameters in one launch

#define MOST_TENSORS 64  // a kernel's arguments have 4 KiB; these take 3.5, and a few numbers come with them

// A parameter: where it, its gradient and its moments lie, how many numbers it has, and, for Adam, the learning rate
// and the factor that undo the bias of its moments.
struct Tensor {
    real *w;
    const real *dw;
    real *m, *v;
    long long size;
    double rate, unbias;
};

struct Tensors {
    Tensor of[MOST_TENSORS];
};

// velocity = momentum * velocity + g,  w = w - lr * velocity.  The blocks of row y work on tensor y.
extern "C" __global__ void sgd_update(
    const Tensors tensors, real lr, real momentum, int nesterov, real weight_decay)
{
    const Tensor t = tensors.of[blockIdx.y];
    FOR_EACH(i, t.size) {
        const real g = weight_decay != 0 ? t.dw[i] + weight_decay * t.w[i] : t.dw[i];
        const real velocity = momentum * t.m[i] + g;
        t.m[i] = velocity;
        t.w[i] -= lr * (nesterov ? g + momentum * velocity : velocity);
    }
}

// m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2,  w = w - rate * m / (sqrt(v * unbias) + eps).
extern "C" __global__ void adam_update(
    const Tensors tensors, real beta1, real rest1, real beta2, real rest2, real eps, real weight_decay)
{
    const Tensor t = tensors.of[blockIdx.y];
    const real rate = t.rate, unbias = t.unbias;
    FOR_EACH(i, t.size) {
        const real g = weight_decay != 0 ? t.dw[i] + weight_decay * t.w[i] : t.dw[i];
        const real m = beta1 * t.m[i] + rest1 * g, v = beta2 * t.v[i] + rest2 * (g * g);
        t.m[i] = m;
        t.v[i] = v;
        t.w[i] -= rate * m / (sqrt(v * unbias) + eps);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Matrix product, in tiles

#define TILE 16

// c (M, N) = A B, where A[i, k] = a[i * a_row + k * a_column] and B alike, so that either may be transposed. A block of
// TILE x TILE threads computes a tile of c. It fetches a tile of A and one of B into shared memory, where each number
// is used TILE times, and goes on to the next: memory is read TILE times less than by threads that work alone.
// cuBLAS is many times faster, but cannot be captured in a CUDA graph through CuPy; this one can.
extern "C" __global__ void matmul(
    const real* a, const real* b, real* c, int rows, int columns, int depth,
    long long a_row, long long a_column, long long b_row, long long b_column)
{
    __shared__ real a_tile[TILE][TILE], b_tile[TILE][TILE];
    const int x = threadIdx.x, y = threadIdx.y, row = blockIdx.x * TILE + y, column = blockIdx.y * TILE + x;
    real sum = 0;
    for (int k0 = 0; k0 < depth; k0 += TILE) {
        a_tile[y][x] = row < rows && k0 + x < depth ? a[row * a_row + (k0 + x) * a_column] : real(0);
        b_tile[y][x] = k0 + y < depth && column < columns ? b[(k0 + y) * b_row + column * b_column] : real(0);
        __syncthreads();  // the tiles are there
        for (int k = 0; k < TILE; ++k) sum += a_tile[y][k] * b_tile[k][x];
        __syncthreads();  // nobody needs them any more
    }
    if (row < rows && column < columns) c[(long long)row * columns + column] = sum;
}
