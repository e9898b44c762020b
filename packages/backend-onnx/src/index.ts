/**
 * ONNX Runtime as a backend of Afterthought, and the exporter that shares its writer.
 *
 * Reading order: onnx → backend → convert/convert → model → proto; engine/engine; weights/store; export.
 */

export type { Provider } from './engine/protocol.ts'
export { type ExportedValue, type ExportOptions, type ExportReport, exportOnnx } from './export.ts'
export { type OnnxOptions, onnx, onnxProviders } from './onnx.ts'
export { hasGpu, type ProviderReport } from './providers.ts'
