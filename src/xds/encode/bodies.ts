/** How large requests may be, and what is compressed: Envoy's buffer and compressor filters, where they say the same, and ours where they cannot. */

import { create, type JsonObject } from '@bufbuild/protobuf'
import { type Any, anyPack } from '@bufbuild/protobuf/wkt'
import { type Coding, type Compression, usualCompressible } from '#model/compression'
import { canCompress, isCountable, isUsual } from '#model/envoy'
import type { Route } from '#model/route'
import { HttpFilterSchema } from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { BrotliSchema } from '../gen/envoy/extensions/compression/brotli/compressor/v3/brotli_pb.ts'
import { GzipSchema } from '../gen/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.ts'
import { ZstdSchema } from '../gen/envoy/extensions/compression/zstd/compressor/v3/zstd_pb.ts'
import { BufferPerRouteSchema, BufferSchema } from '../gen/envoy/extensions/filters/http/buffer/v3/buffer_pb.ts'
import { CompressorPerRouteSchema, CompressorSchema } from '../gen/envoy/extensions/filters/http/compressor/v3/compressor_pb.ts'
import { typed } from './source.ts'

export const bodyFilters = {
  buffer: 'envoy.filters.http.buffer',
  gzip: 'envoy.filters.http.compressor.gzip',
  br: 'envoy.filters.http.compressor.brotli',
  zstd: 'envoy.filters.http.compressor.zstd',
  weftSizes: 'dev.weft.sizes',
  weftCompression: 'dev.weft.compression',
} as const

const compressor = (name: Coding, library: ReturnType<typeof typed>) =>
  create(HttpFilterSchema, {
    name: bodyFilters[name],
    disabled: true,
    configType: typed(
      CompressorSchema,
      create(CompressorSchema, {
        compressorLibrary: { name, typedConfig: library.value },
        responseDirectionConfig: {
          commonConfig: { minContentLength: usualCompressible.minBytes, contentType: [...usualCompressible.types] },
        },
      }),
    ),
  })

/** Disabled until a route asks for them; the one that is to be preferred stands first. */
export const sleepingBodies = [
  create(HttpFilterSchema, {
    name: bodyFilters.buffer,
    disabled: true,
    configType: typed(BufferSchema, create(BufferSchema, { maxRequestBytes: 1 })),
  }),
  compressor('zstd', typed(ZstdSchema, create(ZstdSchema))),
  compressor('br', typed(BrotliSchema, create(BrotliSchema))),
  compressor('gzip', typed(GzipSchema, create(GzipSchema))),
]

/** ours: an extension of our own. */
export function encodeBodies(
  { sizes, compression }: Pick<Route, 'sizes' | 'compression'>,
  ours: (isOptional: boolean, fields: JsonObject) => Any,
): Record<string, Any> {
  const { bodyBytes, ...more } = sizes ?? {}
  const isEnvoys = bodyBytes !== undefined && isCountable(bodyBytes)
  const own = { ...more, ...(bodyBytes === undefined || isEnvoys ? {} : { bodyBytes }) }
  return {
    ...(isEnvoys
      ? {
          [bodyFilters.buffer]: anyPack(
            BufferPerRouteSchema,
            create(BufferPerRouteSchema, { override: { case: 'buffer', value: { maxRequestBytes: bodyBytes } } }),
          ),
        }
      : {}),
    ...(Object.keys(own).length === 0 ? {} : { [bodyFilters.weftSizes]: ours(false, own) }),
    ...(compression === undefined ? {} : encodeCompression(compression, ours)),
  }
}

const wakened = anyPack(
  CompressorPerRouteSchema,
  create(CompressorPerRouteSchema, { override: { case: 'overrides', value: { responseDirectionConfig: {} } } }),
)

function encodeCompression(compression: Compression, ours: (isOptional: boolean, fields: JsonObject) => Any): Record<string, Any> {
  const { answers, requests, takesCoded } = compression
  const own = ours(canCompress(compression), {
    ...(answers === undefined ? {} : { codings: answers.codings.join(), minBytes: answers.minBytes, types: answers.types.join() }),
    ...(requests === undefined
      ? {}
      : { requestCoding: requests.coding, requestMinBytes: requests.minBytes, requestTypes: requests.types.join() }),
    ...(takesCoded === undefined ? {} : { takesCodedBytes: takesCoded.maxBytes }),
  })
  const envoys = isUsual(answers) ? answers.codings.map(coding => [bodyFilters[coding], wakened] as const) : []
  return { ...Object.fromEntries(envoys), [bodyFilters.weftCompression]: own }
}
