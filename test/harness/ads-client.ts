/** A stock gRPC client (grpc-js) of the control plane's state-of-the-world ADS: subscribes, acknowledges or refuses, keeps what it got. None of the mesh's own xDS code is in it. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create, fromBinary, type JsonObject, type Message, toBinary } from '@bufbuild/protobuf'
import * as grpc from '@grpc/grpc-js'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import { connectGrpc } from '../../src/io/grpc.ts'
import { keepCertificate } from '../../src/proxy/certificate.ts'
import { ClusterSchema } from '../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { NodeSchema } from '../../src/xds/gen/envoy/config/core/v3/base_pb.ts'
import { ListenerSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.ts'
import { SecretSchema } from '../../src/xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from '../../src/xds/gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { Mesh } from './mesh.ts'

const url = (name: string): string => `type.googleapis.com/${name}`
export const types = {
  cluster: url(ClusterSchema.typeName),
  listener: url(ListenerSchema.typeName),
  route: url(RouteConfigurationSchema.typeName),
  endpoint: url(ClusterLoadAssignmentSchema.typeName),
  secret: url(SecretSchema.typeName),
} as const
export type TypeUrl = (typeof types)[keyof typeof types]
const read: Readonly<Record<string, (bytes: Uint8Array) => Message & { readonly name: string }>> = {
  [types.cluster]: bytes => fromBinary(ClusterSchema, bytes),
  [types.listener]: bytes => fromBinary(ListenerSchema, bytes),
  [types.route]: bytes => fromBinary(RouteConfigurationSchema, bytes),
  [types.endpoint]: bytes => {
    const found = fromBinary(ClusterLoadAssignmentSchema, bytes)
    return { ...found, name: found.clusterName }
  },
  [types.secret]: bytes => fromBinary(SecretSchema, bytes),
}

/** PEM. */
export type Membership = { readonly key: string; readonly cert: string; readonly roots: readonly string[]; readonly xds: string }

/** A certificate of the mesh's authority for a service account, had with a join token as any workload has it. token: one made before. */
export async function becomeMember(mesh: Mesh, serviceAccount: string, token?: string): Promise<Membership> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-member-'))
  try {
    const given = token ?? (await mesh.client.createToken({ namespace: 'default', serviceAccount })).token
    const { xds } = await mesh.client.status()
    const kept = await keepCertificate({
      folder,
      token: given,
      clock: systemClock,
      log: silent,
      channel: tls => connectGrpc({ ...xds, ...tls }),
    })
    kept.stop()
    const { key, cert, roots } = kept.current()
    return { key, cert, roots, xds: `${xds.host}:${xds.port}` }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export type Got = {
  readonly version: string
  readonly names: readonly string[]
  /** As JSON text, to be searched. */
  readonly text: string
}

/** What is packed into a message (Any) is bytes, whose text is found in them all the same. A Buffer comes here as what it makes of itself. */
function asText(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  const { type, data } = (value ?? {}) as { readonly type?: unknown; readonly data?: unknown }
  return type === 'Buffer' && Array.isArray(data) ? Buffer.from(data as number[]).toString('latin1') : value
}

export class AdsClient implements Disposable {
  readonly id: string
  readonly got = new Map<string, Got>()
  /** Why resources of a type are refused from now on. */
  readonly refusals = new Map<string, string>()
  /** Set when the stream ended. */
  ended: string | undefined
  readonly #client: grpc.Client
  readonly #stream: grpc.ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>
  readonly #names = new Map<string, readonly string[]>()
  readonly #service: string
  readonly #more: JsonObject
  #hasSaid = false

  /** more: that the node says beside, such as a gateway. */
  constructor({ key, cert, roots, xds }: Membership, service: string, more: JsonObject = {}, namespace = 'default') {
    this.id = `${service}-1.${namespace}`
    this.#service = service
    this.#more = more
    // grpc-js would name the address in its TLS hello, which Node refuses (RFC 6066 §3).
    const named = { 'grpc.ssl_target_name_override': 'localhost' }
    const credentials = grpc.credentials.createSsl(Buffer.from(roots.join('')), Buffer.from(key), Buffer.from(cert))
    this.#client = new grpc.Client(xds, credentials, named)
    this.#stream = this.#client.makeBidiStreamRequest(
      '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources',
      request => Buffer.from(toBinary(DiscoveryRequestSchema, request)),
      bytes => fromBinary(DiscoveryResponseSchema, bytes),
    )
    this.#stream.on('data', (reply: DiscoveryResponse) => this.#take(reply))
    this.#stream.on('error', (error: Error) => (this.ended = error.message))
    this.#stream.on('end', () => (this.ended ??= 'in order'))
  }

  /** names: none means all, where the type allows it. */
  subscribe(typeUrl: TypeUrl, names: readonly string[] = []): void {
    this.#names.set(typeUrl, names)
    this.#say({ typeUrl })
  }

  #take({ typeUrl, nonce, versionInfo, resources }: DiscoveryResponse): void {
    const messages = resources.map(({ value }) => read[typeUrl]!(value))
    const refusal = this.refusals.get(typeUrl)
    const before = this.got.get(typeUrl)?.version ?? ''
    if (refusal !== undefined)
      return this.#say({ typeUrl, versionInfo: before, responseNonce: nonce, errorDetail: { code: 3, message: refusal } })
    const text = JSON.stringify(messages, asText)
    this.got.set(typeUrl, { version: versionInfo, names: messages.map(({ name }) => name), text })
    this.#say({ typeUrl, versionInfo, responseNonce: nonce })
  }

  #say(request: { typeUrl: string; versionInfo?: string; responseNonce?: string; errorDetail?: { code: number; message: string } }): void {
    const [workload, namespace] = this.id.split('.') as [string, string]
    const metadata: JsonObject = {
      WEFT: { workload, namespace, service: this.#service, labels: {}, ports: [], probe: { type: 'none' }, ...this.#more },
    }
    const node = this.#hasSaid
      ? {}
      : { node: create(NodeSchema, { id: this.id, cluster: this.#service, userAgentName: 'stock', metadata }) }
    this.#hasSaid = true
    this.#stream.write(
      create(DiscoveryRequestSchema, { ...node, resourceNames: [...(this.#names.get(request.typeUrl) ?? [])], ...request }),
    )
  }

  [Symbol.dispose](): void {
    this.#stream.end()
    this.#client.close()
  }
}
