/** Typed per-route configs of Envoy's buffer and of ours → how large requests may be, and what is compressed. */

import type { Any } from '@bufbuild/protobuf/wkt'
import { type Coding, codings, type Compression } from '#model/compression'
import type { Route, Sizes } from '#model/route'
import { bodyFilters } from '../encode/bodies.ts'
import { BufferPerRouteSchema } from '../gen/envoy/extensions/filters/http/buffer/v3/buffer_pb.ts'
import { refuse, unpack } from './carried.ts'
import type { WordsOf } from './words.ts'

type Fields = Readonly<Record<string, string | number>>

/** fieldsOf: those of an extension of ours. */
export function decodeBodies(
  configs: Readonly<Record<string, Any>>,
  at: (key: string) => string,
  fieldsOf: (any: Any, of: WordsOf, where: string) => Fields,
): Pick<Route, 'sizes' | 'compression'> {
  const compression = configs[bodyFilters.weftCompression]
  for (const coding of codings)
    if (configs[bodyFilters[coding]] !== undefined && compression === undefined)
      refuse(at(bodyFilters[coding]), `carried out only beside ${bodyFilters.weftCompression}`)
  const sizes = decodeSizes(configs, at, fieldsOf)
  return {
    ...(Object.keys(sizes).length === 0 ? {} : { sizes }),
    ...(compression === undefined
      ? {}
      : {
          compression: decodeCompression(
            fieldsOf(compression, 'compression', at(bodyFilters.weftCompression)),
            at(bodyFilters.weftCompression),
          ),
        }),
  }
}

function decodeSizes(
  configs: Readonly<Record<string, Any>>,
  at: (key: string) => string,
  fieldsOf: (any: Any, of: WordsOf, where: string) => Fields,
): Sizes {
  const buffer = configs[bodyFilters.buffer]
  const own = configs[bodyFilters.weftSizes]
  const fields = own === undefined ? {} : fieldsOf(own, 'sizes', at(bodyFilters.weftSizes))
  const where = at(bodyFilters.buffer)
  const override = buffer && unpack(buffer, BufferPerRouteSchema, where).override
  const bodyBytes =
    override?.case === 'buffer'
      ? (override.value.maxRequestBytes ?? refuse(`${where}.buffer.max_request_bytes`, 'missing'))
      : fields['bodyBytes']
  return {
    ...(typeof bodyBytes === 'number' ? { bodyBytes } : {}),
    ...(typeof fields['headerCount'] === 'number' ? { headerCount: fields['headerCount'] } : {}),
    ...(typeof fields['headerBytes'] === 'number' ? { headerBytes: fields['headerBytes'] } : {}),
  }
}

function decodeCompression(fields: Fields, where: string): Compression {
  const text = (key: string): readonly string[] | undefined => (typeof fields[key] === 'string' ? fields[key].split(',') : undefined)
  const number = (key: string): number => (typeof fields[key] === 'number' ? fields[key] : refuse(`${where}.${key}`, 'a number is needed'))
  const coding = (name: string): Coding =>
    codings.find(each => each === name) ?? refuse(where, `"${name}" is no coding that is carried out`)
  const answers = text('codings')?.map(coding)
  const requests = text('requestCoding')?.map(coding)[0]
  return {
    ...(answers === undefined ? {} : { answers: { codings: answers, minBytes: number('minBytes'), types: text('types') ?? [] } }),
    ...(requests === undefined
      ? {}
      : { requests: { coding: requests, minBytes: number('requestMinBytes'), types: text('requestTypes') ?? [] } }),
    ...(fields['takesCodedBytes'] === undefined ? {} : { takesCoded: { maxBytes: number('takesCodedBytes') } }),
  }
}
