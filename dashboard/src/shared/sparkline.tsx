/** A curve without axes, for a first impression. */

import type { ReactNode } from 'react'

export function Sparkline({ values, label, height = 44 }: { values: readonly number[]; label: string; height?: number }): ReactNode {
  const most = Math.max(...values, 1e-9)
  const x = (index: number): number => (index / Math.max(1, values.length - 1)) * 300
  const y = (value: number): number => height - 2 - (value / most) * (height - 6)
  const line = values.map((value, index) => `${index === 0 ? 'M' : 'L'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join('')
  return (
    <svg viewBox={`0 0 300 ${height}`} preserveAspectRatio="none" width="100%" height={height} role="img" aria-label={label}>
      <path d={`${line}L300 ${height}L0 ${height}Z`} fill="color-mix(in srgb, var(--accent) 14%, transparent)" />
      <path d={line} fill="none" stroke="var(--accent)" strokeWidth="1.6" vectorEffect="non-scaling-stroke" strokeLinejoin="round" />
    </svg>
  )
}
