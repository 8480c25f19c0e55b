// Backward of a depthwise convolution on a CPU, bfloat16, channels last.
//
// PyTorch 2.13's CPU library has no fast path for the weight gradient of a
// bfloat16 depthwise convolution, nor for the input gradient when the stride is
// 2: they take ten times the forward pass and dominate training.  Here each
// block of 16 channels of one image is copied to a padded float32 buffer that
// stays in the cache, and the k*k accumulators stay in registers.
//
// Tensors are dense NHWC: x [B,H,W,C], grad [B,Ho,Wo,C]; weights are [k*k,C]
// float32.  C must be a multiple of 16.  Single-threaded: run one process a core.

#include <torch/extension.h>

#include <cstring>
#include <vector>

namespace {

constexpr int kLanes = 16;

inline float from_bf16(uint16_t v) {
  const uint32_t bits = static_cast<uint32_t>(v) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

inline uint16_t to_bf16(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  bits += 0x7fff + ((bits >> 16) & 1);
  return static_cast<uint16_t>(bits >> 16);
}

typedef float Vec __attribute__((vector_size(kLanes * 4), aligned(4)));

inline Vec load_bf16(const uint16_t* p) {
  Vec v;
  for (int l = 0; l < kLanes; ++l) v[l] = from_bf16(p[l]);
  return v;
}

template <int K>
void weight_gradient(const uint16_t* x, const uint16_t* grad, float* out, int B, int H, int W,
                     int Ho, int Wo, int C, int stride) {
  const int pad = K / 2, Hp = (Ho - 1) * stride + K, Wp = (Wo - 1) * stride + K;
  std::vector<float> buffer(static_cast<size_t>(Hp) * Wp * kLanes, 0.f);
  for (int c = 0; c < C; c += kLanes) {
    Vec total[K * K] = {};
    for (int b = 0; b < B; ++b) {
      for (int h = 0; h < Hp; ++h) {
        const int hi = h - pad;
        if (hi < 0 || hi >= H) continue;
        for (int w = 0; w < Wp; ++w) {
          const int wi = w - pad;
          if (wi < 0 || wi >= W) continue;
          const Vec v = load_bf16(x + ((static_cast<size_t>(b) * H + hi) * W + wi) * C + c);
          std::memcpy(&buffer[(static_cast<size_t>(h) * Wp + w) * kLanes], &v, sizeof(Vec));
        }
      }
      for (int ho = 0; ho < Ho; ++ho)
        for (int wo = 0; wo < Wo; ++wo) {
          const Vec g = load_bf16(grad + ((static_cast<size_t>(b) * Ho + ho) * Wo + wo) * C + c);
          const float* base = &buffer[(static_cast<size_t>(ho) * stride * Wp + wo * stride) * kLanes];
#pragma GCC unroll 5
          for (int i = 0; i < K; ++i)
#pragma GCC unroll 5
            for (int j = 0; j < K; ++j)
              total[i * K + j] += g * *reinterpret_cast<const Vec*>(base + (i * Wp + j) * kLanes);
        }
    }
    for (int t = 0; t < K * K; ++t) std::memcpy(out + static_cast<size_t>(t) * C + c, &total[t], sizeof(Vec));
  }
}

template <int K>
void input_gradient(const uint16_t* grad, const float* weight, uint16_t* out, int B, int H, int W,
                    int Ho, int Wo, int C, int stride) {
  const int pad = K / 2;
  const int Hp = std::max((Ho - 1) * stride + K, H + pad), Wp = std::max((Wo - 1) * stride + K, W + pad);
  std::vector<float> buffer(static_cast<size_t>(Hp) * Wp * kLanes);
  for (int c = 0; c < C; c += kLanes) {
    Vec taps[K * K];
    for (int t = 0; t < K * K; ++t) std::memcpy(&taps[t], weight + static_cast<size_t>(t) * C + c, sizeof(Vec));
    for (int b = 0; b < B; ++b) {
      std::fill(buffer.begin(), buffer.end(), 0.f);
      for (int ho = 0; ho < Ho; ++ho)
        for (int wo = 0; wo < Wo; ++wo) {
          const Vec g = load_bf16(grad + ((static_cast<size_t>(b) * Ho + ho) * Wo + wo) * C + c);
          float* base = &buffer[(static_cast<size_t>(ho) * stride * Wp + wo * stride) * kLanes];
#pragma GCC unroll 5
          for (int i = 0; i < K; ++i)
#pragma GCC unroll 5
            for (int j = 0; j < K; ++j)
              *reinterpret_cast<Vec*>(base + (i * Wp + j) * kLanes) += g * taps[i * K + j];
        }
      for (int h = 0; h < H; ++h)
        for (int w = 0; w < W; ++w) {
          const float* from = &buffer[(static_cast<size_t>(h + pad) * Wp + w + pad) * kLanes];
          uint16_t* to = out + ((static_cast<size_t>(b) * H + h) * W + w) * C + c;
          for (int l = 0; l < kLanes; ++l) to[l] = to_bf16(from[l]);
        }
    }
  }
}

}  // namespace

// x, grad: NHWC bfloat16 (contiguous storage).  Returns [k*k, C] float32.
torch::Tensor depthwise_weight_gradient(torch::Tensor x, torch::Tensor grad, int64_t k, int64_t stride) {
  const int B = x.size(0), H = x.size(1), W = x.size(2), C = x.size(3), Ho = grad.size(1), Wo = grad.size(2);
  auto out = torch::zeros({k * k, C}, torch::kFloat32);
  auto* px = reinterpret_cast<const uint16_t*>(x.data_ptr<at::BFloat16>());
  auto* pg = reinterpret_cast<const uint16_t*>(grad.data_ptr<at::BFloat16>());
  if (k == 3) weight_gradient<3>(px, pg, out.data_ptr<float>(), B, H, W, Ho, Wo, C, stride);
  else weight_gradient<5>(px, pg, out.data_ptr<float>(), B, H, W, Ho, Wo, C, stride);
  return out;
}

// grad: NHWC bfloat16; weight [k*k, C] float32.  Returns NHWC bfloat16 [B,H,W,C].
torch::Tensor depthwise_input_gradient(torch::Tensor grad, torch::Tensor weight, int64_t H, int64_t W, int64_t k,
                                       int64_t stride) {
  const int B = grad.size(0), C = grad.size(3), Ho = grad.size(1), Wo = grad.size(2);
  auto out = torch::empty({B, H, W, C}, torch::kBFloat16);
  auto* pg = reinterpret_cast<const uint16_t*>(grad.data_ptr<at::BFloat16>());
  auto* po = reinterpret_cast<uint16_t*>(out.data_ptr<at::BFloat16>());
  if (k == 3) input_gradient<3>(pg, weight.data_ptr<float>(), po, B, H, W, Ho, Wo, C, stride);
  else input_gradient<5>(pg, weight.data_ptr<float>(), po, B, H, W, Ho, Wo, C, stride);
  return out;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("weight_gradient", &depthwise_weight_gradient, "Weight gradient of a depthwise convolution");
  m.def("input_gradient", &depthwise_input_gradient, "Input gradient of a depthwise convolution");
}
