/** By which names and addresses the control plane is called, for its certificates and for those who are told where it is. */

export type Names = { readonly dns?: readonly string[]; readonly ips?: readonly string[] }
export const togetherOf = (one: Names, other: Names): Names => ({
  dns: [...(one.dns ?? []), ...(other.dns ?? [])],
  ips: [...(one.ips ?? []), ...(other.ips ?? [])],
})

/** An address that means "all of them" is none that a proxy could call. */
export const reachable = (host: string): string => (host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host)

export const namesOf = (host: string): { dns?: string[]; ips?: string[] } =>
  host === '0.0.0.0' || host === '::' || host === 'localhost' ? {} : /^[\d.]+$|:/.test(host) ? { ips: [host] } : { dns: [host] }
