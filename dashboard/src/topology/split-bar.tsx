/** A bar of shares, one piece per version. */

import type { ReactNode } from 'react'
import type { Share } from './figures.ts'
import css from './split-bar.module.css'

/** Distinct in both schemes and to most colour-blind eyes; the names stand beside them anyway. */
export const shareColours = ['#5d6be7', '#e0913a', '#2fa5a0', '#b06ad6', '#d1628a', '#7a9a3f'] as const
export const shareColour = (index: number): string => shareColours[index % shareColours.length]!

const whole = (share: number): string => `${Math.round(share * 100)} %`

export const SplitBar = ({ shares, isLabelled = false }: { shares: readonly Share[]; isLabelled?: boolean }): ReactNode => (
  <span className={css['split']} data-testid="split-bar">
    <span className={css['bar']} role="img" aria-label={shares.map(share => `${share.name} ${whole(share.share)}`).join(', ')}>
      {shares.map((share, index) => (
        <span
          key={share.name}
          style={{ flexGrow: Math.max(share.share, 0.004), background: shareColour(index) }}
          title={`${share.name}: ${whole(share.share)}`}
        />
      ))}
    </span>
    {isLabelled && (
      <span className={css['names']} aria-hidden>
        {shares.slice(0, 4).map((share, index) => (
          <span key={share.name}>
            <i style={{ background: shareColour(index) }} />
            {share.name} {whole(share.share)}
          </span>
        ))}
      </span>
    )}
  </span>
)
