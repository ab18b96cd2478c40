/** By what a command proves who it is to the control plane, and by which roots it knows it: flags, then the environment, then the context. */

import type { ConnectOptions } from '#api/client'
import { Stopped } from './exit.ts'

/** Where they are, as typed. */
export type CredentialPlaces = {
  readonly token?: string | undefined
  readonly tokenFile?: string | undefined
  readonly ca?: string | undefined
  readonly clientCert?: string | undefined
  readonly clientKey?: string | undefined
}

/** ca: PEM roots in place of those of the machine. certificate: PEM. */
export type Credentials = {
  readonly token?: string
  readonly ca?: string
  readonly certificate?: { readonly cert: string; readonly key: string }
}

const variables = {
  token: 'WEFT_TOKEN',
  tokenFile: 'WEFT_TOKEN_FILE',
  ca: 'WEFT_CA',
  clientCert: 'WEFT_CLIENT_CERT',
  clientKey: 'WEFT_CLIENT_KEY',
} as const satisfies Record<keyof CredentialPlaces, string>

/** flags, context: what they say. A token of one place is not mixed with a file of another. Throws Stopped, FileError. */
export async function readCredentials(
  flags: CredentialPlaces,
  env: Readonly<Record<string, string | undefined>>,
  context: CredentialPlaces,
): Promise<Credentials> {
  const ofEnv: CredentialPlaces = Object.fromEntries(
    Object.entries(variables).flatMap(([key, name]) => (env[name] === undefined || env[name] === '' ? [] : [[key, env[name]]])),
  )
  const places = [flags, ofEnv, context]
  const firstOf = (...keys: readonly (keyof CredentialPlaces)[]): CredentialPlaces =>
    places.find(place => keys.some(key => place[key] !== undefined)) ?? {}
  const [{ token, tokenFile }, { ca }, { clientCert, clientKey }] = [
    firstOf('token', 'tokenFile'),
    firstOf('ca'),
    firstOf('clientCert', 'clientKey'),
  ]
  if ((clientCert === undefined) !== (clientKey === undefined))
    throw new Stopped('a client certificate and its key belong together: give --client-cert and --client-key', 2)
  const { readText } = await import('#io/files')
  const proof = token ?? (tokenFile === undefined ? undefined : (await readText(tokenFile)).trim())
  if (proof !== undefined && !/^[\w.~+/=-]+$/.test(proof))
    throw new Stopped(`the token ${tokenFile === undefined ? '' : `in ${tokenFile} `}holds characters that no token has`, 2)
  return {
    ...(proof === undefined ? {} : { token: proof }),
    ...(ca === undefined ? {} : { ca: await readText(ca) }),
    ...(clientCert === undefined || clientKey === undefined
      ? {}
      : { certificate: { cert: await readText(clientCert), key: await readText(clientKey) } }),
  }
}

/** For `connect`. What needs no TLS of its own goes by the fetch of Node. */
export async function connectionBy({ token, ca, certificate }: Credentials): Promise<ConnectOptions> {
  const own = ca === undefined && certificate === undefined ? undefined : (await import('#io/fetch')).fetchWith({ ca, certificate })
  return { ...(token === undefined ? {} : { token }), ...(own === undefined ? {} : { fetch: own }) }
}
