/** The flags that say what interception leaves alone: lists of ports, networks and users. */

import type { Exclusions } from '#base/exclusions'
import type { Flags, Read } from './collect.ts'

/** `--exclude-outbound-ports` and its kin; each may be repeated or hold a list with commas. inbound: where Weft did not start the workload. */
export function readExclusions(flags: Flags): Exclusions {
  const each = <T>(key: string, read: (text: string) => Read<readonly T[]>): readonly T[] => flags.each(key, read).flat()
  return {
    outboundPorts: each('excludeOutboundPorts', readPorts),
    outboundCidrs: each('excludeOutboundCidrs', readCidrs),
    outboundUids: each('excludeOutboundUids', readUids),
    inboundPorts: each('excludeInboundPorts', readPorts),
    inboundCidrs: each('excludeInboundCidrs', readCidrs),
  }
}

const list = (text: string): string[] =>
  text
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== '')

/** `5432,6000-6010`. */
function readPorts(text: string): Read<readonly string[]> {
  const parts = list(text)
  const isPort = (digits: string | undefined): boolean => digits !== undefined && Number(digits) > 0 && Number(digits) <= 65_535
  const isRange = (part: string): boolean => {
    const [, from, to] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? []
    return isPort(from) && (to === undefined || (isPort(to) && Number(to) > Number(from)))
  }
  return parts.length > 0 && parts.every(isRange) ? { value: parts } : { says: 'must be ports or ranges of ports, such as 5432,6000-6010' }
}

/** `10.0.0.0/8,fd00::/8`, and single addresses. */
function readCidrs(text: string): Read<readonly string[]> {
  const parts = list(text)
  const isCidr = (part: string): boolean => {
    const [, address = '', bits] = /^([0-9a-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(part) ?? []
    const isSix = address.includes(':')
    const isAddress = isSix
      ? URL.canParse(`http://[${address}]/`)
      : /^\d{1,3}(\.\d{1,3}){3}$/.test(address) && URL.canParse(`http://${address}/`)
    return isAddress && (bits === undefined || Number(bits) <= (isSix ? 128 : 32))
  }
  return parts.length > 0 && parts.every(isCidr) ? { value: parts } : { says: 'must be addresses or networks, such as 10.0.0.0/8,fd00::/8' }
}

/** Names are looked up where the rules are made, for only that machine knows them. */
export function readUids(text: string): Read<readonly string[]> {
  const parts = list(text)
  return parts.length > 0 && parts.every(part => /^(\d{1,10}|[a-z_][a-z0-9_.-]{0,31}\$?)$/i.test(part))
    ? { value: parts }
    : { says: 'must be names or numbers of users, such as postgres,1001' }
}
