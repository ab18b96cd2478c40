/** `options` of TLS in documents of Gateway API, of which one is Weft's: the profile. */

import { type TlsProfile, tlsProfiles } from '#model/tls'

export const profileOption = 'weft.dev/tls-profile'

/** A text is what is wrong. */
export function profileIn(
  options: Readonly<Record<string, string>> | undefined,
  at: string,
): TlsProfile | undefined | { readonly wrong: string } {
  const { [profileOption]: said, ...others } = options ?? {}
  if (Object.keys(others).length > 0) return { wrong: `${at}: ${Object.keys(others).join(', ')} is not carried out, only ${profileOption}` }
  if (said === undefined) return undefined
  const profile = tlsProfiles.find(each => each === said)
  return profile ?? { wrong: `${at}["${profileOption}"]: "${said}" is no profile: ${tlsProfiles.join(', ')}` }
}
