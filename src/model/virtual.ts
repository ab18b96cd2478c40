/** The addresses that the mesh gives out. All are of 240.0.0.0/4, which is reserved, so that no real destination is hidden (RFC 1112 §4). */

/** Of Services, of hosts outside the mesh, and of workloads themselves; each 65,536 addresses. */
export const virtualBlocks = { service: '240.77', external: '240.79', workload: '240.80' } as const

/** Whether the mesh gave it out: then nobody else has it. */
export const isGivenOut = (host: string): boolean =>
  host.startsWith('240.') && (host.startsWith('240.77.') || host.startsWith('240.79.') || host.startsWith('240.80.'))
