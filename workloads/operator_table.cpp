#include "workloads/operator_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "workloads/matrix_products.hpp"
#include "workloads/node_shapes.hpp"

namespace derate {
namespace {

using enum OperatorKind;

// docs/taxonomy.md explains the work per element. Pattern names are those of torch.nn where a
// module of that name exists, else of the function.
constexpr auto rows = std::to_array<OperatorRow>({
    {"conv1d", convolution, "Conv1d"},
    {"conv2d", convolution, "Conv2d"},
    {"conv3d", convolution, "Conv3d"},
    {"convolution", convolution, "Conv"},
    {"conv_transpose1d", convolution, "ConvTranspose1d"},
    {"conv_transpose2d", convolution, "ConvTranspose2d"},
    {"conv_transpose3d", convolution, "ConvTranspose3d"},
    {"conv_tbc", convolution, "Conv"},
    {"convolution_overrideable", convolution, "Conv"},
    {"_convolution", convolution, "Conv"},
    {"_convolution_mode", convolution, "Conv"},
    {"conv_depthwise3d", convolution, "Conv"},
    {"_conv_depthwise2d", convolution, "Conv"},
    {"thnn_conv2d", convolution, "Conv"},
    {"_slow_conv2d_forward", convolution, "Conv"},
    {"slow_conv3d", convolution, "Conv"},
    {"slow_conv3d_forward", convolution, "Conv"},
    {"slow_conv_dilated2d", convolution, "Conv"},
    {"slow_conv_dilated3d", convolution, "Conv"},
    {"slow_conv_transpose2d", convolution, "Conv"},
    {"slow_conv_transpose3d", convolution, "Conv"},
    {"mkldnn_convolution", convolution, "Conv"},
    {"_nnpack_spatial_convolution", convolution, "Conv"},
    {"cudnn_convolution", convolution, "Conv"},
    {"cudnn_convolution_add_relu", convolution, "Conv"},
    {"cudnn_convolution_relu", convolution, "Conv"},
    {"cudnn_convolution_transpose", convolution, "Conv"},
    {"miopen_convolution", convolution, "Conv"},
    {"miopen_convolution_transpose", convolution, "Conv"},
    {"miopen_convolution_add_relu", convolution, "Conv"},
    {"miopen_convolution_relu", convolution, "Conv"},
    {"miopen_depthwise_convolution", convolution, "Conv"},
    {"_mps_convolution", convolution, "Conv"},

    {"linear", linear, "Linear"},
    {"addmm", linear, "Linear"},
    {"matmul", matmul, "matmul"},
    {"mv", matmul, "matmul"},
    {"dot", matmul, "matmul"},
    {"mm", matmul, "matmul"},
    {"bmm", matmul, "matmul"},
    {"baddbmm", matmul, "baddbmm"},
    {"einsum", matmul, "einsum"},
    {"linalg_matmul", matmul, "matmul"},
    {"inner", matmul, "inner"},
    {"tensordot", matmul, "tensordot"},
    {"addbmm", matmul, "addbmm"},
    {"linalg_vecdot", matmul, "linalg_vecdot"},
    {"addmv", matmul, "matmul"},
    {"vdot", matmul, "matmul"},
    {"linalg_multi_dot", matmul, "multi_dot"},
    {"chain_matmul", matmul, "multi_dot"},
    {"matrix_power", matmul, "matrix_power"},
    {"linalg_matrix_power", matmul, "matrix_power"},
    {"bilinear", matmul, "Bilinear"},
    {"_trilinear", matmul, "Bilinear"},
    {"pdist", matmul, "pdist"},
    {"_pdist_forward", matmul, "pdist"},
    {"cov", matmul, "cov"},
    {"_compute_linear_combination", matmul, "linear_combination"},
    {"corrcoef", matmul, "cov"},
    {"cdist", matmul, "cdist"},
    {"_cdist_forward", matmul, "cdist"},
    {"_euclidean_dist", matmul, "cdist"},
    {"_int_mm", matmul, "int_mm"},
    {"_scaled_mm", matmul, "scaled_mm"},
    {"_scaled_mm_v2", matmul, "scaled_mm_v2"},
    {"_grouped_mm", matmul, "grouped_mm"},
    {"_scaled_grouped_mm", matmul, "scaled_grouped_mm"},
    {"_scaled_grouped_mm_v2", matmul, "scaled_grouped_mm_v2"},
    {"_addmm_activation", linear, "Linear"},
    {"_scaled_addmm", linear, "Linear"},
    {"mkldnn_linear", linear, "Linear"},
    {"_weight_int8pack_mm", linear, "Linear"},
    {"_weight_int4pack_mm", linear, "Linear"},
    {"_weight_int4pack_mm_for_cpu", linear, "Linear"},
    {"_weight_int4pack_mm_with_scales_and_zeros", linear, "Linear"},
    {"_mixed_dtypes_linear", linear, "Linear"},
    {"_dyn_quant_matmul_4bit", linear, "Linear"},
    {"fbgemm_linear_fp16_weight", linear, "Linear"},
    {"fbgemm_linear_fp16_weight_fp32_activation", linear, "Linear"},
    {"fbgemm_linear_int8_weight", linear, "Linear"},
    {"fbgemm_linear_int8_weight_fp32_activation", linear, "Linear"},
    {"scaled_dot_product_attention", attention, "ScaledDotProductAttention"},
    {"_scaled_dot_product_flash_attention_for_cpu", attention, "ScaledDotProductAttention"},
    {"_scaled_dot_product_flash_attention", attention, "ScaledDotProductAttention"},
    {"_scaled_dot_product_efficient_attention", attention, "ScaledDotProductAttention"},
    {"_scaled_dot_product_attention_math", attention, "ScaledDotProductAttention"},
    {"_scaled_dot_product_attention_math_for_mps", attention, "ScaledDotProductAttention"},
    {"_scaled_dot_product_cudnn_attention", attention, "ScaledDotProductAttention"},
    {"_scaled_dot_product_fused_attention_overrideable", attention, "ScaledDotProductAttention"},
    {"_flash_attention_forward", attention, "ScaledDotProductAttention"},
    {"_flash_attention_forward_no_dropout_inplace", attention, "ScaledDotProductAttention"},
    {"_efficient_attention_forward", attention, "ScaledDotProductAttention"},
    {"_triton_scaled_dot_attention", attention, "ScaledDotProductAttention"},
    {"_native_multi_head_attention", attention, "MultiheadAttention"},
    {"_triton_multi_head_attention", attention, "MultiheadAttention"},
    {"_transformer_encoder_layer_fwd", attention, "TransformerEncoderLayer"},
    {"lstm", recurrent, "LSTM"},
    {"gru", recurrent, "GRU"},
    {"rnn_tanh", recurrent, "RNN"},
    {"rnn_relu", recurrent, "RNN"},
    {"lstm_cell", recurrent, "LSTMCell"},
    {"quantized_lstm_cell", recurrent, "LSTMCell"},
    {"gru_cell", recurrent, "GRUCell"},
    {"quantized_gru_cell", recurrent, "GRUCell"},
    {"rnn_tanh_cell", recurrent, "RNNCell"},
    {"rnn_relu_cell", recurrent, "RNNCell"},
    {"quantized_rnn_tanh_cell", recurrent, "RNNCell"},
    {"quantized_rnn_relu_cell", recurrent, "RNNCell"},
    {"mkldnn_rnn_layer", recurrent, "LSTM"},
    {"_transform_bias_rescale_qkv", elementwise, "add", 1},
    {"_fused_dropout", elementwise, "Dropout", 2},
    {"fake_quantize_per_channel_affine_cachemask", elementwise, "fake_quantize", 1},
    {"fake_quantize_per_tensor_affine_cachemask", elementwise, "fake_quantize", 1},
    {"lu_unpack", copy, "lu_unpack"},
    {"_thnn_fused_lstm_cell", elementwise, "LSTMCell", 20},
    {"_thnn_fused_gru_cell", elementwise, "GRUCell", 20},

    {"cholesky", decomposition, "cholesky"},
    {"linalg_cholesky", decomposition, "linalg_cholesky"},
    {"linalg_cholesky_ex", decomposition, "linalg_cholesky_ex"},
    {"cholesky_solve", decomposition, "cholesky_solve"},
    {"cholesky_inverse", decomposition, "cholesky_inverse"},
    {"linalg_lu", decomposition, "linalg_lu"},
    {"linalg_lu_factor", decomposition, "linalg_lu_factor"},
    {"linalg_lu_factor_ex", decomposition, "linalg_lu_factor_ex"},
    {"_lu_with_info", decomposition, "lu_with_info"},
    {"linalg_det", decomposition, "linalg_det"},
    {"_linalg_det", decomposition, "linalg_det"},
    {"det", decomposition, "det"},
    {"logdet", decomposition, "logdet"},
    {"slogdet", decomposition, "slogdet"},
    {"linalg_slogdet", decomposition, "linalg_slogdet"},
    {"_linalg_slogdet", decomposition, "linalg_slogdet"},
    {"linalg_lu_solve", decomposition, "linalg_lu_solve"},
    {"lu_solve", decomposition, "lu_solve"},
    {"linalg_solve", decomposition, "linalg_solve"},
    {"linalg_solve_ex", decomposition, "linalg_solve_ex"},
    {"_linalg_solve_ex", decomposition, "linalg_solve_ex"},
    {"linalg_tensorsolve", decomposition, "linalg_tensorsolve"},
    {"linalg_solve_triangular", decomposition, "linalg_solve_triangular"},
    {"triangular_solve", decomposition, "triangular_solve"},
    {"inverse", decomposition, "inverse"},
    {"linalg_inv", decomposition, "linalg_inv"},
    {"linalg_inv_ex", decomposition, "linalg_inv_ex"},
    {"linalg_tensorinv", decomposition, "linalg_tensorinv"},
    {"linalg_ldl_factor", decomposition, "linalg_ldl_factor"},
    {"linalg_ldl_factor_ex", decomposition, "linalg_ldl_factor_ex"},
    {"linalg_ldl_solve", decomposition, "linalg_ldl_solve"},
    {"geqrf", decomposition, "geqrf"},
    {"orgqr", decomposition, "orgqr"},
    {"ormqr", decomposition, "ormqr"},
    {"linalg_householder_product", decomposition, "linalg_householder_product"},
    {"qr", decomposition, "qr"},
    {"linalg_qr", decomposition, "linalg_qr"},
    {"svd", decomposition, "svd"},
    {"linalg_svd", decomposition, "linalg_svd"},
    {"_linalg_svd", decomposition, "linalg_svd"},
    {"linalg_svdvals", decomposition, "linalg_svdvals"},
    {"linalg_cond", decomposition, "linalg_cond"},
    {"linalg_matrix_rank", decomposition, "linalg_matrix_rank"},
    {"nuclear_norm", decomposition, "nuclear_norm"},
    {"pinverse", decomposition, "pinverse"},
    {"linalg_pinv", decomposition, "linalg_pinv"},
    {"linalg_eigh", decomposition, "linalg_eigh"},
    {"_linalg_eigh", decomposition, "linalg_eigh"},
    {"linalg_eigvalsh", decomposition, "linalg_eigvalsh"},
    {"linalg_eig", decomposition, "linalg_eig"},
    {"linalg_eigvals", decomposition, "linalg_eigvals"},
    {"_linalg_eigvals", decomposition, "linalg_eigvals"},
    {"linalg_lstsq", decomposition, "linalg_lstsq"},
    {"linalg_matrix_exp", decomposition, "linalg_matrix_exp"},
    {"matrix_exp", decomposition, "matrix_exp"},

    {"batch_norm", norm, "BatchNorm", 2},
    {"native_batch_norm", norm, "BatchNorm", 2},
    {"_native_batch_norm_legit", norm, "BatchNorm", 2},
    {"_native_batch_norm_legit_no_training", norm, "BatchNorm", 2},
    {"_native_batch_norm_legit_functional", norm, "BatchNorm", 2},
    {"_batch_norm_impl_index", norm, "BatchNorm", 2},
    {"_batch_norm_no_update", norm, "BatchNorm", 2},
    {"_batch_norm_with_update", norm, "BatchNorm", 2},
    {"_batch_norm_with_update_functional", norm, "BatchNorm", 2},
    {"cudnn_batch_norm", norm, "BatchNorm", 2},
    {"miopen_batch_norm", norm, "BatchNorm", 2},
    {"instance_norm", norm, "InstanceNorm", 8},
    {"layer_norm", norm, "LayerNorm", 8},
    {"native_layer_norm", norm, "LayerNorm", 8},
    {"group_norm", norm, "GroupNorm", 8},
    {"native_group_norm", norm, "GroupNorm", 8},
    {"rms_norm", norm, "RMSNorm", 5},
    {"_fused_rms_norm", norm, "RMSNorm", 5},
    {"local_response_norm", norm, "LocalResponseNorm", 5},
    {"renorm", norm, "renorm", 4},
    {"_weight_norm", norm, "weight_norm", 4},
    {"_weight_norm_interface", norm, "weight_norm_interface", 4},

    {"softmax", softmax, "Softmax", 5},
    {"_softmax", softmax, "Softmax", 5},
    {"_safe_softmax", softmax, "Softmax", 5},
    {"log_softmax", softmax, "LogSoftmax", 5},
    {"_log_softmax", softmax, "LogSoftmax", 5},
    {"_masked_softmax", softmax, "Softmax", 5},
    {"special_softmax", softmax, "Softmax", 5},
    {"special_log_softmax", softmax, "LogSoftmax", 5},

    {"relu", activation, "ReLU", 1},
    {"relu6", activation, "ReLU6", 1},
    {"hardtanh", activation, "Hardtanh", 1},
    {"leaky_relu", activation, "LeakyReLU", 1},
    {"prelu", activation, "PReLU", 1},
    {"threshold", activation, "Threshold", 1},
    {"sigmoid", activation, "Sigmoid", 4},
    {"hardsigmoid", activation, "Hardsigmoid", 4},
    {"hardswish", activation, "Hardswish", 4},
    {"elu", activation, "ELU", 4},
    {"selu", activation, "SELU", 4},
    {"celu", activation, "CELU", 4},
    {"softplus", activation, "Softplus", 4},
    {"log_sigmoid", activation, "LogSigmoid", 5},
    {"silu", activation, "SiLU", 5},
    {"glu", activation, "GLU", 5},
    {"tanh", activation, "Tanh", 6},
    {"gelu", activation, "GELU", 8},
    {"mish", activation, "Mish", 8},
    {"hardshrink", activation, "Hardshrink", 1},
    {"softshrink", activation, "Softshrink", 1},
    {"rrelu", activation, "RReLU", 1},
    {"rrelu_with_noise", activation, "RReLU", 1},
    {"rrelu_with_noise_functional", activation, "RReLU", 1},
    {"_prelu_kernel", activation, "PReLU", 1},
    {"log_sigmoid_forward", activation, "LogSigmoid", 5},
    {"special_expit", activation, "Sigmoid", 4},

    {"add", elementwise, "add", 1},
    {"sub", elementwise, "sub", 1},
    {"rsub", elementwise, "sub", 1},
    {"mul", elementwise, "mul", 1},
    {"div", elementwise, "div", 1},
    {"subtract", elementwise, "sub", 1},
    {"multiply", elementwise, "mul", 1},
    {"divide", elementwise, "div", 1},
    {"true_divide", elementwise, "div", 1},
    {"outer", elementwise, "mul", 1},
    {"negative", elementwise, "neg", 1},
    {"trunc", elementwise, "trunc", 1},
    {"nan_to_num", elementwise, "nan_to_num", 1},
    {"remainder", elementwise, "remainder", 1},
    {"floor_divide", elementwise, "floor_divide", 1},
    {"neg", elementwise, "neg", 1},
    {"abs", elementwise, "abs", 1},
    {"sign", elementwise, "sign", 1},
    {"floor", elementwise, "floor", 1},
    {"ceil", elementwise, "ceil", 1},
    {"round", elementwise, "round", 1},
    {"pow", elementwise, "pow", 1},
    {"square", elementwise, "square", 1},
    {"sqrt", elementwise, "sqrt", 1},
    {"rsqrt", elementwise, "rsqrt", 1},
    {"reciprocal", elementwise, "reciprocal", 1},
    {"exp", elementwise, "exp", 1},
    {"log", elementwise, "log", 1},
    {"log1p", elementwise, "log1p", 1},
    {"log2", elementwise, "log2", 1},
    {"exp2", elementwise, "exp2", 1},
    {"sin", elementwise, "sin", 1},
    {"cos", elementwise, "cos", 1},
    {"erf", elementwise, "erf", 1},
    {"maximum", elementwise, "maximum", 1},
    {"minimum", elementwise, "minimum", 1},
    {"clamp", elementwise, "clamp", 1},
    {"clamp_min", elementwise, "clamp", 1},
    {"clamp_max", elementwise, "clamp", 1},
    {"clip", elementwise, "clamp", 1},
    {"lerp", elementwise, "lerp", 2},
    {"addcmul", elementwise, "addcmul", 2},
    {"addcdiv", elementwise, "addcdiv", 2},
    {"where", elementwise, "where", 1},
    {"masked_fill", elementwise, "masked_fill", 1},
    {"eq", elementwise, "eq", 1},
    {"ne", elementwise, "ne", 1},
    {"lt", elementwise, "lt", 1},
    {"le", elementwise, "le", 1},
    {"gt", elementwise, "gt", 1},
    {"ge", elementwise, "ge", 1},
    {"isnan", elementwise, "isnan", 1},
    {"isfinite", elementwise, "isfinite", 1},
    {"isinf", elementwise, "isinf", 1},
    {"logical_and", elementwise, "logical_and", 1},
    {"logical_or", elementwise, "logical_or", 1},
    {"logical_not", elementwise, "logical_not", 1},
    {"bitwise_and", elementwise, "bitwise_and", 1},
    {"bitwise_or", elementwise, "bitwise_or", 1},
    {"logical_xor", elementwise, "logical_xor", 1},
    {"bitwise_xor", elementwise, "bitwise_xor", 1},
    {"bitwise_not", elementwise, "bitwise_not", 1},
    {"__and__", elementwise, "bitwise_and", 1},
    {"__or__", elementwise, "bitwise_or", 1},
    {"cumsum", elementwise, "cumsum", 1},
    {"cumprod", elementwise, "cumprod", 1},
    {"index_add", scatter, "index_add", 1},
    {"scatter_add", scatter, "scatter_add", 1},
    {"upsample_linear1d", elementwise, "upsample_linear1d", 4},
    {"upsample_trilinear3d", elementwise, "upsample_trilinear3d", 16},
    {"_upsample_bilinear2d_aa", elementwise, "upsample_bilinear2d", 8},
    {"upsample_bilinear2d", elementwise, "upsample_bilinear2d", 8},
    {"upsample_bicubic2d", elementwise, "upsample_bicubic2d", 32},
    {"grid_sampler", elementwise, "grid_sampler", 8},
    {"grid_sampler_2d", elementwise, "grid_sampler", 8},
    {"grid_sampler_3d", elementwise, "grid_sampler", 8},
    {"cudnn_grid_sampler", elementwise, "grid_sampler", 8},
    {"_grid_sampler_2d_cpu_fallback", elementwise, "grid_sampler", 8},
    {"_upsample_bicubic2d_aa", elementwise, "upsample_bicubic2d", 32},
    {"_upsample_lanczos2d_aa", elementwise, "upsample_bicubic2d", 32},
    {"affine_grid_generator", elementwise, "affine_grid_generator", 6},
    {"__iand__", elementwise, "iand__", 1},
    {"__ior__", elementwise, "ior__", 1},
    {"__ixor__", elementwise, "ixor__", 1},
    {"__xor__", elementwise, "xor__", 1},
    {"__lshift__", elementwise, "lshift__", 1},
    {"__rshift__", elementwise, "rshift__", 1},
    {"__ilshift__", elementwise, "ilshift__", 1},
    {"__irshift__", elementwise, "irshift__", 1},
    {"absolute", elementwise, "abs", 1},
    {"acos", elementwise, "acos", 1},
    {"acosh", elementwise, "acosh", 1},
    {"arccos", elementwise, "arccos", 1},
    {"arccosh", elementwise, "arccosh", 1},
    {"arcsin", elementwise, "arcsin", 1},
    {"arcsinh", elementwise, "arcsinh", 1},
    {"arctan", elementwise, "arctan", 1},
    {"arctan2", elementwise, "atan2", 1},
    {"arctanh", elementwise, "arctanh", 1},
    {"asin", elementwise, "asin", 1},
    {"asinh", elementwise, "asinh", 1},
    {"atan", elementwise, "atan", 1},
    {"atan2", elementwise, "atan2", 1},
    {"atanh", elementwise, "atanh", 1},
    {"angle", elementwise, "angle", 1},
    {"bitwise_left_shift", elementwise, "bitwise_left_shift", 1},
    {"bitwise_right_shift", elementwise, "bitwise_right_shift", 1},
    {"complex", elementwise, "complex", 1},
    {"copysign", elementwise, "copysign", 1},
    {"cosh", elementwise, "cosh", 1},
    {"deg2rad", elementwise, "deg2rad", 1},
    {"rad2deg", elementwise, "rad2deg", 1},
    {"digamma", elementwise, "digamma", 1},
    {"erfc", elementwise, "erfc", 1},
    {"erfinv", elementwise, "erfinv", 1},
    {"expm1", elementwise, "expm1", 1},
    {"fix", elementwise, "trunc", 1},
    {"float_power", elementwise, "float_power", 1},
    {"fmax", elementwise, "fmax", 1},
    {"fmin", elementwise, "fmin", 1},
    {"fmod", elementwise, "fmod", 1},
    {"frac", elementwise, "frac", 1},
    {"frexp", elementwise, "frexp", 1},
    {"gcd", elementwise, "gcd", 1},
    {"greater", elementwise, "gt", 1},
    {"greater_equal", elementwise, "ge", 1},
    {"less", elementwise, "lt", 1},
    {"less_equal", elementwise, "le", 1},
    {"not_equal", elementwise, "ne", 1},
    {"heaviside", elementwise, "heaviside", 1},
    {"hypot", elementwise, "hypot", 1},
    {"i0", elementwise, "i0", 1},
    {"igamma", elementwise, "igamma", 1},
    {"igammac", elementwise, "igammac", 1},
    {"isclose", elementwise, "isclose", 1},
    {"isneginf", elementwise, "isneginf", 1},
    {"isposinf", elementwise, "isposinf", 1},
    {"isreal", elementwise, "isreal", 1},
    {"lcm", elementwise, "lcm", 1},
    {"ldexp", elementwise, "ldexp", 1},
    {"lgamma", elementwise, "lgamma", 1},
    {"log10", elementwise, "log10", 1},
    {"logaddexp", elementwise, "logaddexp", 1},
    {"logaddexp2", elementwise, "logaddexp2", 1},
    {"logit", elementwise, "logit", 1},
    {"mvlgamma", elementwise, "mvlgamma", 1},
    {"nextafter", elementwise, "nextafter", 1},
    {"polygamma", elementwise, "polygamma", 1},
    {"polar", elementwise, "polar", 1},
    {"positive", elementwise, "positive", 1},
    {"sgn", elementwise, "sgn", 1},
    {"signbit", elementwise, "signbit", 1},
    {"sinc", elementwise, "sinc", 1},
    {"sinh", elementwise, "sinh", 1},
    {"special_airy_ai", elementwise, "special_airy_ai", 1},
    {"special_bessel_j0", elementwise, "special_bessel_j0", 1},
    {"special_bessel_j1", elementwise, "special_bessel_j1", 1},
    {"special_bessel_y0", elementwise, "special_bessel_y0", 1},
    {"special_bessel_y1", elementwise, "special_bessel_y1", 1},
    {"special_chebyshev_polynomial_t", elementwise, "special_chebyshev_polynomial_t", 1},
    {"special_chebyshev_polynomial_u", elementwise, "special_chebyshev_polynomial_u", 1},
    {"special_chebyshev_polynomial_v", elementwise, "special_chebyshev_polynomial_v", 1},
    {"special_chebyshev_polynomial_w", elementwise, "special_chebyshev_polynomial_w", 1},
    {"special_digamma", elementwise, "special_digamma", 1},
    {"special_entr", elementwise, "special_entr", 1},
    {"special_erf", elementwise, "special_erf", 1},
    {"special_erfc", elementwise, "special_erfc", 1},
    {"special_erfcx", elementwise, "special_erfcx", 1},
    {"special_erfinv", elementwise, "special_erfinv", 1},
    {"special_exp2", elementwise, "special_exp2", 1},
    {"special_expm1", elementwise, "special_expm1", 1},
    {"special_gammainc", elementwise, "special_gammainc", 1},
    {"special_gammaincc", elementwise, "special_gammaincc", 1},
    {"special_gammaln", elementwise, "special_gammaln", 1},
    {"special_hermite_polynomial_h", elementwise, "special_hermite_polynomial_h", 1},
    {"special_hermite_polynomial_he", elementwise, "special_hermite_polynomial_he", 1},
    {"special_i0", elementwise, "special_i0", 1},
    {"special_i0e", elementwise, "special_i0e", 1},
    {"special_i1", elementwise, "special_i1", 1},
    {"special_i1e", elementwise, "special_i1e", 1},
    {"special_laguerre_polynomial_l", elementwise, "special_laguerre_polynomial_l", 1},
    {"special_legendre_polynomial_p", elementwise, "special_legendre_polynomial_p", 1},
    {"special_log1p", elementwise, "special_log1p", 1},
    {"special_log_ndtr", elementwise, "special_log_ndtr", 1},
    {"special_logit", elementwise, "special_logit", 1},
    {"special_modified_bessel_i0", elementwise, "special_modified_bessel_i0", 1},
    {"special_modified_bessel_i1", elementwise, "special_modified_bessel_i1", 1},
    {"special_modified_bessel_k0", elementwise, "special_modified_bessel_k0", 1},
    {"special_modified_bessel_k1", elementwise, "special_modified_bessel_k1", 1},
    {"special_multigammaln", elementwise, "special_multigammaln", 1},
    {"special_ndtr", elementwise, "special_ndtr", 1},
    {"special_ndtri", elementwise, "special_ndtri", 1},
    {"special_polygamma", elementwise, "special_polygamma", 1},
    {"special_psi", elementwise, "special_psi", 1},
    {"special_round", elementwise, "special_round", 1},
    {"special_scaled_modified_bessel_k0", elementwise, "special_scaled_modified_bessel_k0", 1},
    {"special_scaled_modified_bessel_k1", elementwise, "special_scaled_modified_bessel_k1", 1},
    {"special_shifted_chebyshev_polynomial_t", elementwise, "special_shifted_chebyshev_polynomial_t", 1},
    {"special_shifted_chebyshev_polynomial_u", elementwise, "special_shifted_chebyshev_polynomial_u", 1},
    {"special_shifted_chebyshev_polynomial_v", elementwise, "special_shifted_chebyshev_polynomial_v", 1},
    {"special_shifted_chebyshev_polynomial_w", elementwise, "special_shifted_chebyshev_polynomial_w", 1},
    {"special_sinc", elementwise, "special_sinc", 1},
    {"special_spherical_bessel_j0", elementwise, "special_spherical_bessel_j0", 1},
    {"special_xlog1py", elementwise, "special_xlog1py", 1},
    {"special_xlogy", elementwise, "special_xlogy", 1},
    {"special_zeta", elementwise, "special_zeta", 1},
    {"tan", elementwise, "tan", 1},
    {"xlogy", elementwise, "xlogy", 1},
    {"isin", elementwise, "isin", 1},
    {"bucketize", elementwise, "bucketize", 1},
    {"searchsorted", elementwise, "searchsorted", 1},
    {"cummax", elementwise, "cummax", 1},
    {"cummin", elementwise, "cummin", 1},
    {"cumulative_trapezoid", elementwise, "cumulative_trapezoid", 1},
    {"diff", elementwise, "diff", 1},
    {"logcumsumexp", elementwise, "logcumsumexp", 1},
    {"_logcumsumexp", elementwise, "logcumsumexp", 1},
    {"trapezoid", elementwise, "trapezoid", 1},
    {"trapz", elementwise, "trapz", 1},
    {"real", elementwise, "real", 1},
    {"imag", elementwise, "imag", 1},
    {"conj_physical", elementwise, "conj_physical", 1},
    {"_conj_physical", elementwise, "conj_physical", 1},
    {"vander", elementwise, "vander", 1},
    {"linalg_vander", elementwise, "linalg_vander", 1},
    {"ger", elementwise, "ger", 1},
    {"kron", elementwise, "kron", 1},
    {"glu_jvp", elementwise, "glu_jvp", 1},
    {"combinations", elementwise, "combinations", 1},
    {"gradient", elementwise, "gradient", 1},
    {"quantize_per_tensor", elementwise, "quantize_per_tensor", 1},
    {"quantize_per_channel", elementwise, "quantize_per_channel", 1},
    {"quantize_per_tensor_dynamic", elementwise, "quantize_per_tensor_dynamic", 1},
    {"dequantize", elementwise, "dequantize", 1},
    {"fake_quantize_per_tensor_affine", elementwise, "fake_quantize_per_tensor_affine", 1},
    {"fake_quantize_per_channel_affine", elementwise, "fake_quantize_per_channel_affine", 1},
    {"_add_relu", elementwise, "add_relu", 1},
    {"_test_serialization_subcmul", elementwise, "test_serialization_subcmul", 1},
    {"native_dropout", elementwise, "native_dropout", 1},
    {"_saturate_weight_to_fp16", elementwise, "saturate_weight_to_fp16", 1},
    {"_masked_scale", elementwise, "masked_scale", 1},
    {"addr", elementwise, "addr", 2},
    {"cross", elementwise, "cross", 3},
    {"linalg_cross", elementwise, "cross", 3},

    {"bernoulli", elementwise, "bernoulli", 1},
    {"binomial", elementwise, "binomial", 1},
    {"cauchy", elementwise, "cauchy", 1},
    {"exponential", elementwise, "exponential", 1},
    {"geometric", elementwise, "geometric", 1},
    {"log_normal", elementwise, "log_normal", 1},
    {"multinomial", elementwise, "multinomial", 1},
    {"normal", elementwise, "normal", 1},
    {"normal_functional", elementwise, "normal_functional", 1},
    {"poisson", elementwise, "poisson", 1},
    {"rand", elementwise, "rand", 1},
    {"rand_like", elementwise, "rand_like", 1},
    {"randint", elementwise, "randint", 1},
    {"randint_like", elementwise, "randint_like", 1},
    {"randn", elementwise, "randn", 1},
    {"randn_like", elementwise, "randn_like", 1},
    {"random", elementwise, "random", 1},
    {"randperm", elementwise, "randperm", 1},
    {"uniform", elementwise, "uniform", 1},
    {"_standard_gamma", elementwise, "standard_gamma", 1},
    {"_sample_dirichlet", elementwise, "sample_dirichlet", 1},

    {"mean", reduction, "mean"},
    {"sum", reduction, "sum"},
    {"prod", reduction, "prod"},
    {"amax", reduction, "amax"},
    {"amin", reduction, "amin"},
    {"max", reduction, "max"},
    {"min", reduction, "min"},
    {"argmax", reduction, "argmax"},
    {"argmin", reduction, "argmin"},
    {"any", reduction, "any"},
    {"all", reduction, "all"},
    {"var", reduction, "var"},
    {"std_mean", reduction, "std_mean"},
    {"std", reduction, "std"},
    {"var_mean", reduction, "var_mean"},
    {"logsumexp", reduction, "logsumexp"},
    {"linalg_vector_norm", reduction, "vector_norm"},
    {"norm", reduction, "vector_norm"},
    {"topk", reduction, "topk"},
    {"sort", reduction, "sort"},
    {"aminmax", reduction, "aminmax"},
    {"_aminmax", reduction, "aminmax"},
    {"allclose", reduction, "allclose"},
    {"argsort", reduction, "argsort"},
    {"bincount", reduction, "bincount"},
    {"count_nonzero", reduction, "count_nonzero"},
    {"equal", reduction, "equal"},
    {"_is_all_true", reduction, "is_all_true"},
    {"_is_any_true", reduction, "is_any_true"},
    {"frobenius_norm", reduction, "frobenius_norm"},
    {"linalg_norm", reduction, "linalg_norm"},
    {"linalg_matrix_norm", reduction, "linalg_matrix_norm"},
    {"native_norm", reduction, "native_norm"},
    {"norm_except_dim", reduction, "norm_except_dim"},
    {"histc", reduction, "histc"},
    {"histogram", reduction, "histogram"},
    {"kthvalue", reduction, "kthvalue"},
    {"median", reduction, "median"},
    {"nanmedian", reduction, "nanmedian"},
    {"mode", reduction, "mode"},
    {"msort", reduction, "msort"},
    {"nanmean", reduction, "nanmean"},
    {"nansum", reduction, "nansum"},
    {"nanquantile", reduction, "nanquantile"},
    {"quantile", reduction, "quantile"},
    {"special_logsumexp", reduction, "special_logsumexp"},
    {"sum_to_size", reduction, "sum_to_size"},
    {"trace", reduction, "trace"},
    {"unique_consecutive", reduction, "unique_consecutive"},
    {"unique_dim", reduction, "unique_dim"},
    {"unique_dim_consecutive", reduction, "unique_dim_consecutive"},
    {"_unique", reduction, "unique"},
    {"_unique2", reduction, "unique2"},
    {"nonzero", reduction, "nonzero"},
    {"nonzero_numpy", reduction, "nonzero_numpy"},
    {"nonzero_static", reduction, "nonzero_static"},
    {"argwhere", reduction, "argwhere"},
    {"masked_select", reduction, "masked_select"},
    {"segment_reduce", reduction, "segment_reduce"},

    {"binary_cross_entropy", reduction, "binary_cross_entropy"},
    {"binary_cross_entropy_with_logits", reduction, "binary_cross_entropy_with_logits"},
    {"cosine_embedding_loss", reduction, "cosine_embedding_loss"},
    {"cosine_similarity", reduction, "cosine_similarity"},
    {"cross_entropy_loss", reduction, "cross_entropy_loss"},
    {"ctc_loss", reduction, "ctc_loss"},
    {"_ctc_loss", reduction, "ctc_loss"},
    {"dist", reduction, "dist"},
    {"hinge_embedding_loss", reduction, "hinge_embedding_loss"},
    {"huber_loss", reduction, "huber_loss"},
    {"kl_div", reduction, "kl_div"},
    {"l1_loss", reduction, "l1_loss"},
    {"margin_ranking_loss", reduction, "margin_ranking_loss"},
    {"mse_loss", reduction, "mse_loss"},
    {"multi_margin_loss", reduction, "multi_margin_loss"},
    {"multilabel_margin_loss", reduction, "multilabel_margin_loss"},
    {"multilabel_margin_loss_forward", reduction, "multilabel_margin_loss_forward"},
    {"nll_loss", reduction, "nll_loss"},
    {"nll_loss2d", reduction, "nll_loss2d"},
    {"nll_loss2d_forward", reduction, "nll_loss2d_forward"},
    {"nll_loss_forward", reduction, "nll_loss_forward"},
    {"nll_loss_nd", reduction, "nll_loss_nd"},
    {"pairwise_distance", reduction, "pairwise_distance"},
    {"poisson_nll_loss", reduction, "poisson_nll_loss"},
    {"smooth_l1_loss", reduction, "smooth_l1_loss"},
    {"soft_margin_loss", reduction, "soft_margin_loss"},
    {"triplet_margin_loss", reduction, "triplet_margin_loss"},
    {"linalg__powsum", reduction, "linalg__powsum"},

    {"max_pool1d", pool, "MaxPool1d"},
    {"max_pool2d", pool, "MaxPool2d"},
    {"max_pool3d", pool, "MaxPool3d"},
    {"max_pool2d_with_indices", pool, "MaxPool2d"},
    {"avg_pool1d", pool, "AvgPool1d"},
    {"avg_pool2d", pool, "AvgPool2d"},
    {"avg_pool3d", pool, "AvgPool3d"},
    {"adaptive_avg_pool1d", pool, "AdaptiveAvgPool1d"},
    {"adaptive_avg_pool2d", pool, "AdaptiveAvgPool2d"},
    {"adaptive_avg_pool3d", pool, "AdaptiveAvgPool3d"},
    {"_adaptive_avg_pool2d", pool, "AdaptiveAvgPool2d"},
    {"adaptive_max_pool1d", pool, "AdaptiveMaxPool1d"},
    {"adaptive_max_pool2d", pool, "AdaptiveMaxPool2d"},
    {"_adaptive_avg_pool3d", pool, "AdaptiveAvgPool3d"},
    {"adaptive_max_pool3d", pool, "AdaptiveMaxPool3d"},
    {"max_pool1d_with_indices", pool, "MaxPool1d"},
    {"max_pool3d_with_indices", pool, "MaxPool3d"},
    {"mkldnn_max_pool2d", pool, "MaxPool2d"},
    {"mkldnn_max_pool3d", pool, "MaxPool3d"},
    {"mkldnn_adaptive_avg_pool2d", pool, "AdaptiveAvgPool2d"},
    {"fractional_max_pool2d", pool, "FractionalMaxPool2d"},
    {"fractional_max_pool3d", pool, "FractionalMaxPool3d"},

    {"cat", copy, "cat"},
    {"concat", copy, "cat"},
    {"hstack", copy, "cat"},
    {"vstack", copy, "cat"},
    {"stack", copy, "stack"},
    {"clone", copy, "clone"},
    {"copy", copy, "copy"},
    {"lift_fresh_copy", copy, "clone"},
    {"roll", copy, "roll"},
    {"flip", copy, "flip"},
    {"pad", copy, "pad"},
    {"constant_pad_nd", copy, "pad"},
    {"reflection_pad1d", copy, "pad"},
    {"reflection_pad2d", copy, "pad"},
    {"replication_pad2d", copy, "pad"},
    {"repeat", copy, "repeat"},
    {"repeat_interleave", copy, "repeat_interleave"},
    {"tile", copy, "repeat"},
    {"tril", copy, "tril"},
    {"triu", copy, "triu"},
    {"fill", copy, "fill"},
    {"zero", copy, "fill"},
    {"zeros", copy, "fill"},
    {"ones", copy, "fill"},
    {"full", copy, "fill"},
    {"empty", copy, "fill"},
    {"zeros_like", copy, "fill"},
    {"ones_like", copy, "fill"},
    {"full_like", copy, "fill"},
    {"empty_like", copy, "fill"},
    {"new_zeros", copy, "fill"},
    {"new_ones", copy, "fill"},
    {"new_full", copy, "fill"},
    {"new_empty", copy, "fill"},
    {"scalar_tensor", copy, "fill"},
    {"eye", copy, "fill"},
    {"arange", copy, "arange"},
    {"linspace", copy, "linspace"},
    {"meshgrid", view, "meshgrid"},
    {"scatter", scatter, "scatter"},
    {"slice_scatter", copy, "scatter"},
    {"select_scatter", copy, "scatter"},
    {"index_put", scatter, "index_put"},
    {"one_hot", copy, "one_hot"},
    {"im2col", copy, "Unfold"},
    {"col2im", copy, "Fold"},
    {"pixel_shuffle", copy, "PixelShuffle"},
    {"pixel_unshuffle", copy, "PixelUnshuffle"},
    {"channel_shuffle", copy, "ChannelShuffle"},
    {"upsample_nearest1d", copy, "upsample_nearest"},
    {"upsample_nearest2d", copy, "upsample_nearest"},
    {"upsample_nearest3d", copy, "upsample_nearest"},
    {"_upsample_nearest_exact1d", copy, "upsample_nearest"},
    {"_upsample_nearest_exact2d", copy, "upsample_nearest"},
    {"_upsample_nearest_exact3d", copy, "upsample_nearest"},
    {"_stack", copy, "stack"},
    {"_chunk_cat", copy, "chunk_cat"},
    {"alias_copy", copy, "alias_copy"},
    {"as_strided_copy", copy, "as_strided_copy"},
    {"as_strided_scatter", copy, "as_strided_scatter"},
    {"bartlett_window", copy, "bartlett_window"},
    {"blackman_window", copy, "blackman_window"},
    {"hamming_window", copy, "hamming_window"},
    {"hann_window", copy, "hann_window"},
    {"kaiser_window", copy, "kaiser_window"},
    {"block_diag", copy, "block_diag"},
    {"cartesian_prod", copy, "cartesian_prod"},
    {"column_stack", copy, "cat"},
    {"concatenate", copy, "cat"},
    {"dstack", copy, "cat"},
    {"row_stack", copy, "cat"},
    {"detach_copy", copy, "detach_copy"},
    {"diag", copy, "diag"},
    {"diag_embed", copy, "diag_embed"},
    {"diagflat", copy, "diagflat"},
    {"diagonal_copy", copy, "diagonal_copy"},
    {"diagonal_scatter", copy, "diagonal_scatter"},
    {"empty_permuted", copy, "empty_permuted"},
    {"empty_strided", copy, "empty_strided"},
    {"new_empty_strided", copy, "new_empty_strided"},
    {"expand_copy", copy, "expand_copy"},
    {"fft_fftshift", copy, "fft_fftshift"},
    {"fft_ifftshift", copy, "fft_ifftshift"},
    {"fft_fftfreq", copy, "fft_fftfreq"},
    {"fft_rfftfreq", copy, "fft_rfftfreq"},
    {"fliplr", copy, "fliplr"},
    {"flipud", copy, "flipud"},
    {"rot90", copy, "rot90"},
    {"logspace", copy, "logspace"},
    {"range", copy, "range"},
    {"lift", copy, "lift"},
    {"max_unpool2d", copy, "max_unpool2d"},
    {"max_unpool3d", copy, "max_unpool3d"},
    {"narrow_copy", copy, "narrow_copy"},
    {"native_channel_shuffle", copy, "native_channel_shuffle"},
    {"pad_sequence", copy, "pad_sequence"},
    {"_pad_circular", copy, "pad_circular"},
    {"_pad_enum", copy, "pad_enum"},
    {"_pad_packed_sequence", copy, "pad_packed_sequence"},
    {"_pack_padded_sequence", copy, "pack_padded_sequence"},
    {"permute_copy", copy, "permute_copy"},
    {"_reshape_copy", copy, "reshape_copy"},
    {"_reshape_alias_copy", copy, "reshape_alias_copy"},
    {"_neg_view_copy", copy, "neg_view_copy"},
    {"reflection_pad3d", copy, "reflection_pad3d"},
    {"replication_pad1d", copy, "replication_pad1d"},
    {"replication_pad3d", copy, "replication_pad3d"},
    {"resize", copy, "resize"},
    {"resize_as", copy, "resize_as"},
    {"select_copy", copy, "select_copy"},
    {"slice_copy", copy, "slice_copy"},
    {"slice_inverse", copy, "slice_inverse"},
    {"split_copy", copy, "split_copy"},
    {"split_with_sizes_copy", copy, "split_with_sizes_copy"},
    {"squeeze_copy", copy, "squeeze_copy"},
    {"t_copy", copy, "t_copy"},
    {"transpose_copy", copy, "transpose_copy"},
    {"tril_indices", copy, "tril_indices"},
    {"triu_indices", copy, "triu_indices"},
    {"unbind_copy", copy, "unbind_copy"},
    {"unfold_copy", copy, "unfold_copy"},
    {"unsqueeze_copy", copy, "unsqueeze_copy"},
    {"view_copy", copy, "view_copy"},
    {"view_as_complex_copy", copy, "view_as_complex_copy"},
    {"view_as_real_copy", copy, "view_as_real_copy"},
    {"_cast_Byte", copy, "cast_Byte"},
    {"_cast_Char", copy, "cast_Char"},
    {"_cast_Double", copy, "cast_Double"},
    {"_cast_Float", copy, "cast_Float"},
    {"_cast_Half", copy, "cast_Half"},
    {"_cast_Int", copy, "cast_Int"},
    {"_cast_Long", copy, "cast_Long"},
    {"_cast_Short", copy, "cast_Short"},
    {"chalf", copy, "chalf"},
    {"_autocast_to_full_precision", copy, "autocast_to_full_precision"},
    {"_autocast_to_reduced_precision", copy, "autocast_to_reduced_precision"},
    {"_new_zeros_with_same_feature_meta", copy, "new_zeros_with_same_feature_meta"},
    {"_efficientzerotensor", copy, "efficientzerotensor"},
    {"_shape_as_tensor", copy, "shape_as_tensor"},
    {"_dim_arange", copy, "dim_arange"},
    {"broadcast_tensors_copy", copy, "broadcast_tensors_copy"},
    {"embedding_renorm", copy, "embedding_renorm"},
    {"_convert_weight_to_int4pack", copy, "convert_weight_to_int4pack"},
    {"_convert_weight_to_int4pack_for_cpu", copy, "convert_weight_to_int4pack_for_cpu"},
    {"_dyn_quant_pack_4bit_weight", copy, "dyn_quant_pack_4bit_weight"},
    {"int_repr", copy, "int_repr"},
    {"_lazy_clone", copy, "lazy_clone"},
    {"_conj_copy", copy, "conj_copy"},
    {"_copy_from", copy, "copy_from"},
    {"_copy_from_and_resize", copy, "copy_from_and_resize"},
    {"_to_cpu", copy, "to_cpu"},
    {"_pin_memory", copy, "pin_memory"},
    {"pin_memory", copy, "pin_memory"},
    {"index", gather, "index"},
    {"index_select", gather, "index_select"},
    {"gather", gather, "gather"},
    {"take_along_dim", gather, "gather"},
    {"take", gather, "take"},
    {"_unsafe_index", gather, "unsafe_index"},
    {"_unsafe_masked_index", gather, "unsafe_masked_index"},
    {"embedding", embedding, "Embedding"},
    {"embedding_bag", embedding, "EmbeddingBag"},
    {"_embedding_bag", embedding, "EmbeddingBag"},
    {"_embedding_bag_forward_only", embedding, "EmbeddingBag"},

    {"index_copy", scatter, "index_copy"},
    {"index_fill", scatter, "index_fill"},
    {"masked_scatter", scatter, "masked_scatter"},
    {"put", scatter, "put"},
    {"fill_diagonal", scatter, "fill_diagonal"},
    {"_index_put_impl", scatter, "index_put"},
    {"_unsafe_index_put", scatter, "index_put"},
    {"_unsafe_masked_index_put_accumulate", scatter, "unsafe_masked_index_put_accumulate", 1},
    {"index_reduce", scatter, "index_reduce", 1},
    {"scatter_reduce", scatter, "scatter_reduce", 1},

    {"view", view, "view"},
    {"_unsafe_view", view, "view"},
    {"view_as", view, "view"},
    {"unflatten", view, "unflatten"},
    {"transpose", view, "transpose"},
    {"swapaxes", view, "transpose"},
    {"swapdims", view, "transpose"},
    {"t", view, "transpose"},
    {"mT", view, "transpose"},
    {"numpy_T", view, "transpose"},
    {"permute", view, "permute"},
    {"movedim", view, "permute"},
    {"expand", view, "expand"},
    {"expand_as", view, "expand"},
    {"broadcast_to", view, "expand"},
    {"squeeze", view, "squeeze"},
    {"unsqueeze", view, "unsqueeze"},
    {"select", view, "select"},
    {"slice", view, "slice"},
    {"narrow", view, "slice"},
    {"split", view, "split"},
    {"split_with_sizes", view, "split"},
    {"tensor_split", view, "split"},
    {"unsafe_split", view, "split"},
    {"chunk", view, "chunk"},
    {"unsafe_chunk", view, "chunk"},
    {"unbind", view, "unbind"},
    {"unfold", view, "unfold"},
    {"diagonal", view, "diagonal"},
    {"as_strided", view, "as_strided"},
    {"alias", view, "alias"},
    {"detach", view, "detach"},
    {"requires_grad", view, "alias"},
    {"lift_fresh", view, "alias"},
    {"_conj", view, "conj"},
    {"conj", view, "conj"},
    {"resolve_conj", view, "resolve_conj"},
    {"resolve_neg", view, "resolve_neg"},
    {"_neg_view", view, "neg_view"},
    {"_reshape_alias", view, "reshape_alias"},
    {"adjoint", view, "transpose"},
    {"mH", view, "transpose"},
    {"matrix_H", view, "transpose"},
    {"atleast_1d", view, "atleast_1d"},
    {"atleast_2d", view, "atleast_2d"},
    {"atleast_3d", view, "atleast_3d"},
    {"broadcast_tensors", view, "broadcast_tensors"},
    {"data", view, "data"},
    {"dsplit", view, "split"},
    {"hsplit", view, "split"},
    {"vsplit", view, "split"},
    {"flatten_dense_tensors", view, "flatten_dense_tensors"},
    {"linalg_diagonal", view, "linalg_diagonal"},
    {"moveaxis", view, "permute"},
    {"unsafe_split_with_sizes", view, "split"},
    {"view_as_complex", view, "view_as_complex"},
    {"view_as_real", view, "view_as_real"},
    {"_functional_assert_async", view, "functional_assert_async"},
    {"_functional_assert_scalar", view, "functional_assert_scalar"},
    {"sym_size", view, "sym_size"},
    {"sym_stride", view, "sym_stride"},
    {"sym_numel", view, "sym_numel"},
    {"sym_storage_offset", view, "sym_storage_offset"},
    {"size", view, "size"},
    {"stride", view, "stride"},
    {"numel", view, "numel"},
    {"dim", view, "dim"},
    {"is_same_size", view, "is_same_size"},
    {"is_floating_point", view, "is_floating_point"},
    {"is_complex", view, "is_complex"},
    {"is_signed", view, "is_signed"},
    {"is_contiguous", view, "is_contiguous"},
    {"is_nonzero", view, "is_nonzero"},
    {"item", view, "item"},
    {"_local_scalar_dense", view, "local_scalar_dense"},
    {"_fw_primal", view, "fw_primal"},
    {"_make_dual", view, "make_dual"},
    {"_values", view, "values"},
    {"values", view, "values"},
    {"_test_check_tensor", view, "test_check_tensor"},
    {"set", view, "set"},
    {"_linalg_check_errors", view, "linalg_check_errors"},
    {"_functional_sym_constrain_range", view, "functional_sym_constrain_range"},
    {"_functional_sym_constrain_range_for_size", view, "functional_sym_constrain_range_for_size"},
    {"_assert_tensor_metadata", view, "assert"},
    {"_assert_async", view, "assert"},
    {"_assert_scalar", view, "assert"},
    {"reshape", maybe_view, "reshape"},
    {"reshape_as", maybe_view, "reshape"},
    {"flatten", maybe_view, "flatten"},
    {"ravel", maybe_view, "flatten"},
    {"contiguous", maybe_view, "contiguous"},
    {"to", maybe_view, "to"},
    {"_to_copy", maybe_view, "to"},
    {"type_as", maybe_view, "to"},
    {"dropout", dropout, "Dropout", 2},
    {"feature_dropout", dropout, "Dropout", 2},
    {"feature_alpha_dropout", dropout, "Dropout", 2},
    {"alpha_dropout", dropout, "Dropout", 2},
});

/// The rows by name. A count of a model looks some thousand names up, so that a lookup takes a
/// multiplication and, mostly, one comparison.
class RowsByName {
  public:
    RowsByName() {
        for (auto const& row : rows) {
            auto slot = first_slot(row.name);
            while (slots_[slot] != nullptr) slot = (slot + 1) % slots_.size();
            slots_[slot] = &row;
        }
    }

    [[nodiscard]] OperatorRow const* find(std::string_view name) const {
        for (auto slot = first_slot(name); slots_[slot] != nullptr;
             slot = (slot + 1) % slots_.size()) {
            if (slots_[slot]->name == name) return slots_[slot];
        }
        return nullptr;
    }

  private:
    /// Of the name's length and its first and last letters, eight each.
    [[nodiscard]] std::size_t first_slot(std::string_view name) const {
        auto const eight = [](std::string_view letters) {
            std::uint64_t number = 0;
            std::memcpy(&number, letters.data(), std::min(letters.size(), sizeof number));
            return number;
        };
        auto const last = name.size() > 8 ? name.substr(name.size() - 8) : name;
        auto const mixed = eight(name) * 0x9E3779B97F4A7C15U ^ (eight(last) + name.size());
        return static_cast<std::size_t>((mixed * 0xD6E8FEB86659FD93U) >> 32U) % slots_.size();
    }

    std::array<OperatorRow const*, 8192> slots_{};
};
static_assert(2 * rows.size() < 8192);

bool runs_as_view(ExportedProgram const& program, ProgramNode const& node) {
    auto const read = tensors_read(node);
    auto const made = tensors_returned(node);
    if (read.empty() || made.empty()) return false;
    auto const& from = value_of(program, read.front());
    auto const& to = value_of(program, made.front());
    if (from.dtype != to.dtype) return false;
    auto const name = operator_name(node);
    if (name == "_to_copy") return false;
    if (name == "reshape" || name == "reshape_as" || name == "flatten" || name == "ravel") {
        return can_view(from, to.sizes);
    }
    return same_element_order(from, to);  // contiguous, to
}

}  // namespace

OperatorRow const* find_operator(ProgramNode const& node) {
    static RowsByName const by_name;
    if (operator_namespace(node) != "aten") return nullptr;
    auto name = operator_name(node);
    auto const* row = by_name.find(name);
    if (row == nullptr && is_in_place(node)) {
        name.remove_suffix(1);
        row = by_name.find(name);
    }
    return row;
}

/// The spectral and the nuclear norm of a matrix; other norms are sums.
bool is_norm_of_singular_values(ExportedProgram const& program, ProgramNode const& node) {
    auto const name = operator_name(node);
    bool const is_matrix_norm = name == "linalg_matrix_norm";
    if (!is_matrix_norm && name != "linalg_norm") return false;
    auto const* order = node.find_argument("ord");
    if (order == nullptr) return false;
    if (auto const* text = std::get_if<std::string>(order)) return *text == "nuc";
    auto const* self = tensor_argument(program, node, "self");
    bool const is_matrix =
        is_matrix_norm || (self != nullptr && self->sizes.size() == 2 &&
                           node.find_argument("dim") == nullptr);
    return is_matrix && std::abs(number_argument(node, "ord", 0)) == 2;
}

OperatorKind kind_of(ExportedProgram const& program, ProgramNode const& node) {
    auto const* row = find_operator(node);
    if (row == nullptr) {
        // It touches no tensor: a version is asked for, an option set.
        bool const runs_nothing = tensors_read(node).empty() && tensors_returned(node).empty();
        return runs_nothing ? view : elementwise;
    }
    switch (row->kind) {
        case maybe_view:
            return runs_as_view(program, node) ? view : copy;
        case dropout:
            return flag_argument(node, "train", false) ? elementwise : view;
        case matmul:
            return is_view_einsum(program, node) ? view : matmul;
        case reduction:
            return is_norm_of_singular_values(program, node) ? decomposition : reduction;
        default:
            return row->kind;
    }
}

bool is_in_place(ProgramNode const& node) {
    auto const name = operator_name(node);
    return name.size() > 1 && name.ends_with('_') && !name.ends_with("__");
}

std::string_view functional_name(ProgramNode const& node) {
    auto name = operator_name(node);
    if (is_in_place(node)) name.remove_suffix(1);
    return name;
}

bool is_max_pool(ProgramNode const& node) {
    auto const name = functional_name(node);
    return name.starts_with("max_pool") || name.starts_with("adaptive_max_pool") ||
           name.starts_with("fractional_max_pool");
}

OperationType operation_type_of(ExportedProgram const& program, ProgramNode const& node) {
    switch (kind_of(program, node)) {
        case convolution: {
            auto const shape = convolution_shape(program, node);
            if (shape.groups > 1 && shape.groups == shape.in_channels) {
                return OperationType::conv2d_depthwise;
            }
            if (shape.groups > 1) return OperationType::conv2d_grouped;
            bool const is_pointwise = std::all_of(shape.kernel.begin(), shape.kernel.end(),
                                                  [](auto extent) { return extent == 1; });
            return is_pointwise ? OperationType::conv2d_pointwise : OperationType::conv2d;
        }
        case linear:
        case recurrent:
            return OperationType::linear;
        case matmul: {
            auto const work = product_work(program, node);
            if (work.products.empty() && work.elementwise > 0) {
                return tensors_read(node).size() == 1 ? OperationType::pool
                                                      : OperationType::elementwise;
            }
            return OperationType::matmul;
        }
        case decomposition:
            return OperationType::matmul;
        case attention:
            return OperationType::attention;
        case norm:
            return OperationType::norm;
        case softmax:
            return OperationType::softmax;
        case activation:
            return OperationType::activation;
        case reduction:
        case pool:
            return OperationType::pool;
        case copy:
        case gather:
            return OperationType::copy;
        case scatter:
            return find_operator(node)->work_per_element > 0 ? OperationType::elementwise
                                                             : OperationType::copy;
        case embedding:
            return OperationType::embedding;
        case view:
        case maybe_view:
            return OperationType::meta;
        case elementwise:
        case dropout:
            return OperationType::elementwise;
    }
    return OperationType::elementwise;
}

std::string pattern_of(ExportedProgram const& program, ProgramNode const& node) {
    auto const* row = find_operator(node);
    if (row == nullptr) return std::string{operator_name(node)};
    std::string name{row->pattern};
    auto const read = tensors_read(node);
    if (name == "Conv") {
        auto const shape = convolution_shape(program, node);
        name += (shape.transposed ? "Transpose" : "") + std::to_string(shape.kernel.size()) + "d";
    }
    if ((name == "BatchNorm" || name == "InstanceNorm") && !read.empty()) {
        auto const rank = value_of(program, read.front()).sizes.size();
        name += std::to_string(rank < 4 ? 1 : rank - 2) + "d";
    }
    if (name == "Hardtanh" && number_argument(node, "min_val", -1) == 0 &&
        number_argument(node, "max_val", 1) == 6) {
        name = "ReLU6";
    }
    return name;
}

}  // namespace derate
