/** In which shape the client wants its answer: RFC 9110 §12.5.1 with the `as`, `g`, `v` parameters of Kubernetes. */

import { Refusal } from './refusal.ts'

/** One range of an Accept header, its parameters by name. */
export type Range = { readonly type: string; readonly params: Readonly<Record<string, string>> }

/** In the order of preference of the client: as written, higher q first. */
export function rangesOf(accept: string | undefined): readonly Range[] {
  const ranges = (accept ?? '*/*').split(',').map(text => {
    const [type = '', ...rest] = text.split(';').map(part => part.trim())
    const params = Object.fromEntries(
      rest.map(part => part.split('=', 2).map(side => side.trim().replace(/^"(.*)"$/, '$1')) as [string, string]),
    )
    return { type: type.toLowerCase(), params }
  })
  return ranges.filter(range => range.params['q'] !== '0').toSorted((a, b) => Number(b.params['q'] ?? 1) - Number(a.params['q'] ?? 1))
}

export type Shape = { readonly as: 'object' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList'; readonly version: string }

const isJson = ({ type }: Range): boolean => type === 'application/json' || type === '*/*' || type === 'application/*'

/** For resources. Throws 406 when nothing that is offered will do. */
export function shapeOf(accept: string | undefined): Shape {
  for (const range of rangesOf(accept)) {
    if (!isJson(range)) continue
    const { as, g, v = 'v1' } = range.params
    if (as === undefined) return { as: 'object', version: '' }
    if (
      g === 'meta.k8s.io' &&
      (v === 'v1' || v === 'v1beta1') &&
      (as === 'Table' || as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList')
    )
      return { as, version: v }
  }
  throw notAcceptable(['application/json', 'application/json;as=Table;v=v1;g=meta.k8s.io'])
}

export const notAcceptable = (offered: readonly string[]): Refusal =>
  new Refusal(406, 'NotAcceptable', `only the following media types are accepted: ${offered.join(', ')}`)
