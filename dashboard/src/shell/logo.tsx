/** The mark of Weft: two threads over and under two others. */

export const Logo = ({ size = 26 }: { size?: number }) => (
  <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" fill="#4b57de" />
    <g fill="none" stroke="#fff" strokeWidth="3.2" strokeLinecap="round">
      <path d="M11 7v1.4M11 13.6V25M21 7v11.4M21 23.6V25" opacity=".62" />
      <path d="M7 11h11.4M23.6 11H25M7 21h1.4M13.6 21H25" />
    </g>
  </svg>
)
