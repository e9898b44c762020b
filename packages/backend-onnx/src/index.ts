export { type OnnxOptions, onnx } from './onnx.ts'
