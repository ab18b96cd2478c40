/** Which TCP ports of this machine, or of the network namespace of this process, are listened on, and at which addresses (proc(5), /proc/net/tcp). */

import { readFileSync } from 'node:fs'

/** address: IPv4 dotted; IPv6 as `::` for all, `::1`, else in full hexadecimal. isLoopback: nobody outside the machine reaches it. */
export type ListeningAt = { readonly address: string; readonly port: number; readonly isLoopback: boolean }

/** Empty where the system does not say. */
export function listeningAt(read = (file: string): string => readFileSync(file, 'utf8')): readonly ListeningAt[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap(file => {
    let text: string
    try {
      text = read(file)
    } catch {
      return []
    }
    return text.split('\n').slice(1).flatMap(row)
  })
}

/** The state 0A is TCP_LISTEN. */
function row(line: string): readonly ListeningAt[] {
  const [, local = '', , state] = line.trim().split(/\s+/)
  const [hex = '', port = ''] = local.split(':')
  if (state !== '0A') return []
  const address = addressOf(hex)
  return [{ address, port: Number.parseInt(port, 16), isLoopback: address.startsWith('127.') || address === '::1' }]
}

/** Words of 32 bits in the order of the machine, which is little-endian wherever Node runs. */
function addressOf(hex: string): string {
  const words = (hex.match(/.{8}/g) ?? []).map(word => (word.match(/../g) ?? []).reverse().join(''))
  if (words.length === 1) return dotted(words[0]!)
  const text = words.join('').toLowerCase()
  if (/^0{32}$/.test(text)) return '::'
  if (/^0{31}1$/.test(text)) return '::1'
  const mapped = /^0{20}ffff([0-9a-f]{8})$/.exec(text)?.[1]
  return mapped === undefined ? (text.match(/.{4}/g) ?? []).join(':') : dotted(mapped)
}

const dotted = (word: string): string => (word.match(/../g) ?? []).map(byte => Number.parseInt(byte, 16)).join('.')
