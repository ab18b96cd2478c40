/**
 * Logins at a Gateway → a filter of our own, by the name of the policy each route. Envoy does not know it and refuses the listener: its oauth2 filter takes
 * what a token endpoint says without a look at the ID token, so that nonce, issuer, audience and claims would be nobody's business.
 */

import { fromJson, type JsonObject } from '@bufbuild/protobuf'
import { StructSchema } from '@bufbuild/protobuf/wkt'
import type { Listener } from '#model/listener'
import { typed } from './source.ts'

export const loginFilter = 'dev.weft.login'

/** In front of the filters that verify tokens and judge claims. */
export const encodeLogins = (logins: Listener['logins']) =>
  logins === undefined
    ? []
    : [{ name: loginFilter, configType: typed(StructSchema, fromJson(StructSchema, { policies: logins } as unknown as JsonObject)) }]
