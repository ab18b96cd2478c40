/** Where Envoy finds what a resource refers to, and how a typed extension is wrapped. */

import { create, type DescMessage, type JsonObject, type MessageShape } from '@bufbuild/protobuf'
import { type Any, anyPack, type Duration, DurationSchema } from '@bufbuild/protobuf/wkt'
import { type Metadata, MetadataSchema } from '../gen/envoy/config/core/v3/base_pb.ts'
import { ApiVersion, type ConfigSource, ConfigSourceSchema } from '../gen/envoy/config/core/v3/config_source_pb.ts'
import { weftMetadata } from '../types.ts'

/** The stream that this resource itself came over. */
export const fromAds: ConfigSource = create(ConfigSourceSchema, {
  configSourceSpecifier: { case: 'ads', value: {} },
  resourceApiVersion: ApiVersion.V3,
})

export const typed = <Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): { case: 'typedConfig'; value: Any } => ({
  case: 'typedConfig',
  value: anyPack(schema, message),
})

export const labels = (fields: JsonObject): Metadata => create(MetadataSchema, { filterMetadata: { [weftMetadata]: fields } })

/** Whole milliseconds. */
export const duration = (ms: number): Duration =>
  create(DurationSchema, { seconds: BigInt(Math.floor(ms / 1000)), nanos: Math.round(ms % 1000) * 1_000_000 })

/** `NAMESPACE/SERVICE:PORT` → `SERVICE.NAMESPACE`. Envoy would write the name of the cluster, and servers refuse an authority with a slash in it. */
export const authorityOf = (backend: string): string => backend.replace(/^([^/]+)\/([^/]+):\d+$/, '$2.$1').replaceAll(/[^\w.:-]/g, '-')
