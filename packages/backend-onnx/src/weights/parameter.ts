/** A weight that a graph asks for, of the type it asks for. */

import { formatSpec, type Parameter, ShapeError, type TensorSpec } from '@afterthought/core'

/** @throws ShapeError if `name` is missing or is not what `value` says */
export function parameterFor(
  parameters: ReadonlyMap<string, Parameter>,
  name: string,
  value: TensorSpec,
  graph: string,
): Parameter {
  const parameter = parameters.get(name)
  if (parameter && formatSpec(parameter) === formatSpec(value)) return parameter
  throw new ShapeError(parameter ? 'the weight has another type' : 'the weight is missing', {
    where: `${graph}: parameter '${name}'`,
    expected: formatSpec(value),
    actual: parameter ? formatSpec(parameter) : 'nothing',
  })
}
