/**
 * The data of src/tweets/text/length.ts and src/tweets/text/urls.ts: the top-level domains and the
 * pattern of emoji. The exports are plain values, because the server writes them into the module
 * that the browser loads instead of this one (a pattern as its `source` and `flags`).
 *
 * npm `tlds` (MIT) is the list of the root zone, in Unicode form. `@twemoji/parser` (MIT)
 * recognizes the emoji of Unicode 17, and publishes its pattern only in this file. They are loaded
 * by `require`, because one is JSON and the other is CommonJS without types.
 */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const delegatedTlds: readonly string[] = require('tlds')
const twemoji: { readonly default: RegExp } = require('@twemoji/parser/dist/lib/regex.js')

/**
 * Names in X's published list (twitter-text 3.1.0, 2020) that are not in the root zone: withdrawn
 * since, reserved, or never delegated. X's published test vectors count them, and a superfluous
 * name changes a length by a few characters at most.
 */
const unlistedTlds = `
  abarth active adac afamilycompany aigo alfaromeo an avianca bananarepublic bentley bl blanco bnl boots bq
  budapest bugatti cancerresearch cartier caseih cbs ceb chloe chrysler cityeats comcast cookingchannel csc
  dabur dodge doha doosan duck dunlop duns eh epost esurance etisalat everbank fiat flsmidth foodnetwork
  frontdoor fujixerox glade goodhands guardian hgtv honeywell hoteles htc iinet intel iselect iveco iwc jcp
  jlc kerrylogistics kinder ladbrokes lancaster lancia lancome liaison linde lipsy lixil loft lupin macys
  maserati mcd mcdonalds meo metlife mf mobily montblanc mopar movistar mtpc mutual mutuelle nadex nationwide
  natura newholland northwesternmutual off oldnavy onion onyourside orientexpress pamperedchef panerai
  passagens piaget pramerica qvc raid redstone rightathome rmit rocher sapo sca scjohnson scor ses shaw
  showtime shriram spiegel spreadbetting srt starhub statoil swiftcover symantec telecity telefonica tiffany
  tp travelchannel uconnect um vista vistaprint volkswagen vuelos warman xfinity xperia zippo اتصالات موبايلي
  大众汽车 工行 手表 珠宝 诺基亚
`

/**
 * The top-level domains that X turns into links, in lower case. IDN names are in Unicode; `xn--`
 * needs no list.
 */
export const tlds: readonly string[] = [...new Set([...delegatedTlds, ...unlistedTlds.trim().split(/\s+/)])]

/**
 * Matches one emoji sequence, as X displays it. It has the `g` flag: use it with `matchAll`, which
 * keeps no position.
 */
export const emojiPattern: RegExp = twemoji.default
