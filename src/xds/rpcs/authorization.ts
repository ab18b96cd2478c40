/** Envoy's external authorization protocol (envoy.service.auth.v3), as proxies speak it. */

import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { Rpc } from '#base/rpc'
import type { NameValue } from '#model/filter'
import type { AddressSchema } from '../gen/envoy/config/core/v3/address_pb.ts'
import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction as Action } from '../gen/envoy/config/core/v3/base_pb.ts'
import { CheckRequestSchema, CheckResponseSchema } from '../gen/envoy/service/auth/v3/external_auth_pb.ts'

/** principal: the SPIFFE id that it proved, or ''. */
export type CheckPeer = { readonly address?: { readonly host: string; readonly port: number }; readonly principal: string }
/** Of a connection there is no http. headers: names in lower case, each once. path: with the query. size: bytes of the body, -1 where nobody knows. atMs: since the epoch. */
export type CheckQuestion = {
  readonly source: CheckPeer
  readonly destination: CheckPeer
  readonly http?: {
    readonly id: string
    readonly method: string
    readonly path: string
    readonly host: string
    readonly scheme: string
    readonly protocol: string
    readonly headers: Readonly<Record<string, string>>
    readonly size: number
    readonly body?: Uint8Array
  }
  readonly atMs: number
}
/** set: in place of those of the name; add: beside them; absent: only where there is none; present: only where there is one. */
export type CheckField = NameValue & { readonly how: 'set' | 'add' | 'absent' | 'present' }
/** Names as the service wrote them. fields, remove: of the request on its way; answer: of what the caller gets. */
export type CheckReply =
  | {
      readonly isAllowed: true
      readonly fields: readonly CheckField[]
      readonly remove: readonly string[]
      readonly answer: readonly CheckField[]
      readonly query: { readonly set: readonly NameValue[]; readonly remove: readonly string[] }
    }
  | { readonly isAllowed: false; readonly status: number; readonly fields: readonly CheckField[]; readonly body: string }

const addressOf = ({ host, port }: { readonly host: string; readonly port: number }): MessageInitShape<typeof AddressSchema> => ({
  address: { case: 'socketAddress', value: { address: host, portSpecifier: { case: 'portValue', value: port } } },
})
const peerOf = ({ address, principal }: CheckPeer) => ({ principal, ...(address === undefined ? {} : { address: addressOf(address) }) })

const hows = new Map<Action, CheckField['how']>([
  [Action.ADD_IF_ABSENT, 'absent'],
  [Action.OVERWRITE_IF_EXISTS, 'present'],
  [Action.OVERWRITE_IF_EXISTS_OR_ADD, 'set'],
])

/** otherwise: where nothing is said, which in these messages is to replace, but for what is added to answers. */
const fieldOf =
  (otherwise: 'set' | 'add') =>
  ({ header, append, appendAction }: HeaderValueOption): CheckField => {
    const raw = header === undefined ? '' : header.value === '' ? new TextDecoder('latin1').decode(header.rawValue) : header.value
    const how = append === undefined ? (hows.get(appendAction) ?? otherwise) : append ? 'add' : 'set'
    return { name: header?.key ?? '', value: raw, how }
  }

export const checkAuthorization: Rpc<CheckQuestion, CheckReply> = {
  path: '/envoy.service.auth.v3.Authorization/Check',
  kind: 'unary',
  request: {
    encode: ({ source, destination, http, atMs }) =>
      toBinary(
        CheckRequestSchema,
        create(CheckRequestSchema, {
          attributes: {
            source: peerOf(source),
            destination: peerOf(destination),
            request: {
              time: timestampFromMs(atMs),
              ...(http === undefined
                ? {}
                : {
                    http: {
                      id: http.id,
                      method: http.method,
                      path: http.path,
                      host: http.host,
                      scheme: http.scheme,
                      protocol: http.protocol,
                      headers: http.headers,
                      size: BigInt(http.size),
                      ...(http.body === undefined ? {} : { rawBody: http.body }),
                    },
                  }),
            },
          },
        }),
      ),
    decode: () => {
      throw new Error('this end only asks')
    },
  },
  reply: {
    encode: () => {
      throw new Error('this end only asks')
    },
    decode: bytes => {
      const { status, httpResponse } = fromBinary(CheckResponseSchema, bytes)
      if (status === undefined && httpResponse.case === undefined) throw new Error('it says neither yes nor no')
      if ((status?.code ?? 0) === 0) {
        if (httpResponse.case === 'deniedResponse') throw new Error('it says yes, and what to answer to a no')
        const ok = httpResponse.value
        return {
          isAllowed: true,
          fields: (ok?.headers ?? []).map(fieldOf('set')),
          remove: ok?.headersToRemove ?? [],
          answer: (ok?.responseHeadersToAdd ?? []).map(fieldOf('add')),
          query: {
            set: (ok?.queryParametersToSet ?? []).map(({ key, value }) => ({ name: key, value })),
            remove: ok?.queryParametersToRemove ?? [],
          },
        }
      }
      const no = httpResponse.case === 'deniedResponse' ? httpResponse.value : undefined
      return {
        isAllowed: false,
        status: no?.status?.code || 403,
        fields: (no?.headers ?? []).map(fieldOf('set')),
        body: no?.body ?? '',
      }
    },
  },
}
