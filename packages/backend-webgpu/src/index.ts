/**
 * The place of the WebGPU backend, which is built under its own issue. Nothing is exported until it works: the
 * interface it will implement is `Backend` of `@afterthought/core`, its acceptance test `testBackend()` of
 * `@afterthought/core/testing`.
 */

export {}
