/** Aggregated discovery, delta and state of the world. Replies are put together from bytes that all streams share. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { concat } from '#base/bytes'
import type { MessageCodec, Rpc } from '#base/rpc'
import { anyOf, bytesField, textField } from '../encode/wire.ts'
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { DeltaReply, DeltaRequest, ReceivedDelta, StateReply, StateRequest } from '../messages.ts'

const deltaRequest: MessageCodec<DeltaRequest> = {
  encode: ({ typeUrl, node, subscribe, unsubscribe, initialVersions, nonce, error }) =>
    toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, {
        typeUrl,
        ...(node === undefined ? {} : { node }),
        resourceNamesSubscribe: [...subscribe],
        resourceNamesUnsubscribe: [...unsubscribe],
        initialResourceVersions: { ...initialVersions },
        responseNonce: nonce,
        ...(error === undefined ? {} : { errorDetail: error }),
      }),
    ),
  decode: bytes => {
    const message = fromBinary(DeltaDiscoveryRequestSchema, bytes)
    return {
      typeUrl: message.typeUrl,
      node: message.node,
      subscribe: message.resourceNamesSubscribe,
      unsubscribe: message.resourceNamesUnsubscribe,
      initialVersions: message.initialResourceVersions,
      nonce: message.responseNonce,
      error: message.errorDetail && { code: message.errorDetail.code, message: message.errorDetail.message },
    }
  },
}

const stateRequest: MessageCodec<StateRequest> = {
  encode: ({ typeUrl, node, names, version, nonce, error }) =>
    toBinary(
      DiscoveryRequestSchema,
      create(DiscoveryRequestSchema, {
        typeUrl,
        ...(node === undefined ? {} : { node }),
        resourceNames: [...names],
        versionInfo: version,
        responseNonce: nonce,
        ...(error === undefined ? {} : { errorDetail: error }),
      }),
    ),
  decode: bytes => {
    const message = fromBinary(DiscoveryRequestSchema, bytes)
    return {
      typeUrl: message.typeUrl,
      node: message.node,
      names: message.resourceNames,
      version: message.versionInfo,
      nonce: message.responseNonce,
      error: message.errorDetail && { code: message.errorDetail.code, message: message.errorDetail.message },
    }
  },
}

/** DeltaDiscoveryResponse: system_version_info = 1, resources = 2, type_url = 4, nonce = 5, removed_resources = 6. */
const encodeDelta = ({ typeUrl, nonce, version, resources, removed }: DeltaReply): Uint8Array =>
  concat([
    textField(1, version),
    ...resources.map(resource => resource.deltaField),
    textField(4, typeUrl),
    textField(5, nonce),
    ...removed.map(name => textField(6, name)),
  ])

function decodeDelta(bytes: Uint8Array): ReceivedDelta {
  const message = fromBinary(DeltaDiscoveryResponseSchema, bytes)
  return {
    typeUrl: message.typeUrl,
    nonce: message.nonce,
    version: message.systemVersionInfo,
    resources: message.resources.map(({ name, version, resource }) => ({
      name,
      version,
      typeUrl: resource?.typeUrl ?? message.typeUrl,
      body: resource?.value ?? new Uint8Array(0),
    })),
    removed: message.removedResources,
  }
}

/** DiscoveryResponse: version_info = 1, resources = 2 (Any), type_url = 4, nonce = 5. */
const encodeState = ({ typeUrl, nonce, version, resources }: StateReply): Uint8Array =>
  concat([
    textField(1, version),
    ...resources.map(({ typeUrl, body }) => bytesField(2, anyOf(typeUrl, body))),
    textField(4, typeUrl),
    textField(5, nonce),
  ])

const service = '/envoy.service.discovery.v3.AggregatedDiscoveryService'
const receivesOnly = (): never => {
  throw new Error('this end of the stream sends the other kind of message')
}

/** The two ends see a reply differently: the server has resources that are encoded already, the client has bytes to decode. */
export const serveDelta: Rpc<DeltaRequest, DeltaReply> = {
  path: `${service}/DeltaAggregatedResources`,
  kind: 'stream',
  request: deltaRequest,
  reply: { encode: encodeDelta, decode: receivesOnly },
}
export const callDelta: Rpc<DeltaRequest, ReceivedDelta> = { ...serveDelta, reply: { encode: receivesOnly, decode: decodeDelta } }

export const serveState: Rpc<StateRequest, StateReply> = {
  path: `${service}/StreamAggregatedResources`,
  kind: 'stream',
  request: stateRequest,
  reply: { encode: encodeState, decode: receivesOnly },
}

/** Secret discovery, as an Envoy asks the agent beside it. */
export const serveSecrets: Rpc<StateRequest, StateReply> = {
  ...serveState,
  path: '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets',
}
