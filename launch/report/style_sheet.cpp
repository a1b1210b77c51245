#include "launch/report/page_parts.h"

namespace troupe::report_page {

std::string_view style_sheet() {
  return R"css(
:root{color-scheme:light dark;
--page:#f5f4f0;--card:#fdfdfb;--ink:#16150f;--soft:#55534b;--mute:#7d7a70;--rule:#e4e2da;--edge:#dedbd2;
--c0:#2467c9;--c1:#d9622b;--c2:#14916a;--c3:#8b4fc6;--c4:#b98700;--c5:#c8417f;--c6:#3f7f8f;--c7:#7a6a55;
--p0:#2a78d6;--p1:#6a5bd0;--p2:#e0912f;--p3:#d6504f;--p4:#1f9a73;--p5:#c7b23a;--p6:#b9b6ab;
--h0:#0f4c9c;--h1:#2f72c4;--h2:#6a9fdc;--h3:#a5c6ec;--h4:#d3e2f3;--h5:#efeeea;--h6:#f9dccd;--h7:#f3b597;--h8:#e58562;
--h9:#cb5238;--h10:#9c2717;--h11:#16150f}
@media (prefers-color-scheme:dark){:root{
--page:#121211;--card:#1b1b19;--ink:#f2f1ec;--soft:#bdbab0;--mute:#8f8c82;--rule:#2e2d2a;--edge:#2b2a27;
--c0:#6aa5f2;--c1:#f08a52;--c2:#3fc197;--c3:#b58aec;--c4:#d9ac35;--c5:#ec78ac;--c6:#7fbccb;--c7:#b5a48c;
--p0:#4a90e6;--p1:#8d80ea;--p2:#e9a24b;--p3:#e56a66;--p4:#36b38a;--p5:#cdb94a;--p6:#69665e;
--h0:#7db4f7;--h1:#4f8fe0;--h2:#336bb5;--h3:#274d80;--h4:#26374d;--h5:#2f2e2b;--h6:#4a332a;--h7:#7a4331;--h8:#ae5438;
--h9:#e06d49;--h10:#ffa07c;--h11:#f2f1ec}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;
-webkit-text-size-adjust:100%}
main,header,footer{max-width:1180px;margin:0 auto;padding:0 24px}
header{padding-top:40px}
h1{font-size:28px;line-height:1.2;margin:0;font-weight:650;letter-spacing:-.015em;overflow-wrap:anywhere}
.kicker{color:var(--mute);font-size:13px;margin:0 0 4px}
.where{color:var(--soft);margin:6px 0 0;font-size:14px;overflow-wrap:anywhere}
h2{font-size:19px;font-weight:650;letter-spacing:-.01em;margin:48px 0 4px}
h2+p{margin:0 0 16px;color:var(--soft);max-width:75ch}
h3{font-size:14px;font-weight:600;margin:0;display:inline}
.verdict{list-style:none;margin:24px 0 0;padding:0;display:grid;gap:14px;max-width:82ch}
.verdict li{display:grid;grid-template-columns:88px 1fr;gap:12px;font-size:16px}
.verdict b{color:var(--mute);font-weight:500;font-size:13px;padding-top:3px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:28px 0 0;padding:0}
.tile{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:12px 14px}
.tile dt{color:var(--soft);font-size:12.5px;line-height:1.3}
.tile dd{margin:4px 0 0;font-size:24px;font-weight:600;line-height:1.15;letter-spacing:-.01em;font-variant-numeric:tabular-nums}
.tile dd.note{margin:5px 0 0;font-size:12px;font-weight:400;color:var(--mute);line-height:1.35;letter-spacing:0}
.grid3,.grid2{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(330px,100%),1fr))}
.grid2{grid-template-columns:repeat(auto-fit,minmax(min(480px,100%),1fr))}
details+.grid3,.chart+.grid2,details+.grid2,.grid3+.grid3,.grid3+.grid2,.grid2+.grid2,.grid2+.grid3,.scale+.grid2{margin-top:16px}
.chart{margin:0;background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:14px 16px 12px;min-width:0;
display:flex;flex-direction:column}
.chart figcaption{line-height:1.35}
.unit{color:var(--mute);font-size:12.5px;margin-left:8px}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:6px 0 0;padding:0;font-size:12.5px;color:var(--soft);min-height:20px}
.legend li{display:flex;align-items:center;gap:6px;line-height:20px;overflow-wrap:anywhere}
.key{flex:none;width:16px;height:0;border-top:2px solid currentColor}
.key.faint{opacity:.4;border-top-width:1.5px}.key.dashed,.key.marked{border-top-style:dashed}
.key.area{width:11px;height:11px;border:0;border-radius:2px;background:currentColor}
.key.reference{border-top:1px solid var(--soft)}
.frame{display:grid;grid-template-columns:46px minmax(0,1fr);margin:10px 6px 0 0;font-size:11.5px;color:var(--mute);
font-variant-numeric:tabular-nums;margin-top:auto;padding-top:10px}
.y-ticks{position:relative}
.y-ticks span{position:absolute;right:8px;transform:translateY(-50%);white-space:nowrap;line-height:1}
.plot{position:relative;height:210px;border-bottom:1px solid var(--mute);cursor:crosshair;outline-offset:3px}
.wide .plot{height:240px}
.plot:focus-visible{outline:2px solid var(--c0)}
.plot svg,.bars svg{position:absolute;inset:0;width:100%;height:100%;display:block;overflow:visible}
.heat .plot{border-bottom:0;height:auto}.frame.heat{margin-top:6px;flex:1;grid-template-rows:1fr auto auto}
.legend:empty{min-height:0;margin:0}
.heat svg{shape-rendering:crispEdges}
.x-ticks{grid-column:2;position:relative;height:20px}
.x-ticks span{position:absolute;top:6px;transform:translateX(-50%);white-space:nowrap;line-height:1}
.x-label{grid-column:2;text-align:center;color:var(--soft);line-height:1.2;padding-top:2px}
path{vector-effect:non-scaling-stroke;fill:none}
.grid{stroke:var(--rule);stroke-width:1}
.reference{stroke:var(--soft);stroke-width:1}
.line{stroke:currentColor;stroke-width:1.9;stroke-linejoin:round;stroke-linecap:round}
.line.faint{opacity:.32;stroke-width:1.1}
.line.dashed{stroke-dasharray:5 4}.line.marked{stroke-dasharray:3 4;stroke-width:1.5}
.dots{stroke:currentColor;stroke-width:6;stroke-linecap:round}
.area{fill:currentColor;stroke:var(--card);stroke-width:.7}
rect.area{vector-effect:non-scaling-stroke}
.borders{stroke:var(--card);stroke-width:1}
.scale{display:flex;flex-wrap:wrap;align-items:center;gap:0;font-size:12.5px;color:var(--soft);margin:0 0 12px}
.scale i{width:22px;height:12px}.scale span{margin:0 8px 0 6px}.scale .gap{width:14px;margin:0}
.bars{display:grid;grid-template-columns:auto minmax(0,1fr) auto;gap:10px 12px;align-items:center;margin-top:12px;font-size:13px}
.bars svg{position:static;height:26px}
.bar-total{font-variant-numeric:tabular-nums;color:var(--soft)}.bar-name{overflow-wrap:anywhere;max-width:220px}
.cross{position:absolute;top:0;bottom:0;width:0;border-left:1px solid var(--soft);pointer-events:none;display:none}
.cell{position:absolute;border:2px solid var(--ink);outline:1px solid var(--card);pointer-events:none;display:none}
#tip{position:fixed;z-index:9;display:none;pointer-events:none;background:var(--card);color:var(--ink);border:1px solid var(--mute);
border-radius:6px;padding:7px 10px;font-size:12.5px;line-height:1.45;max-width:min(320px,90vw);box-shadow:0 3px 14px #0003;font-variant-numeric:tabular-nums}
#tip b{font-weight:600}#tip div{display:flex;align-items:center;gap:6px}#tip span{margin-left:auto;padding-left:14px}
details{background:var(--card);border:1px solid var(--edge);border-radius:8px;margin-top:12px}
summary{cursor:pointer;padding:11px 16px;font-weight:550;overflow-wrap:anywhere}
details .inner{padding:0 16px 16px}
pre{margin:0;padding:0 16px 16px;overflow:auto;max-height:520px;font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:6px 12px 6px 0;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th{color:var(--soft);font-weight:500}th:first-child,td:first-child{text-align:left}
.runs td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:120px}
.notice{background:var(--card);border:1px solid var(--edge);border-left:4px solid var(--c1);border-radius:6px;padding:12px 16px;margin:24px 0 0;max-width:82ch}
footer{color:var(--mute);font-size:13px;padding-top:40px;padding-bottom:48px}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}
.p0{color:var(--p0)}.p1{color:var(--p1)}.p2{color:var(--p2)}.p3{color:var(--p3)}.p4{color:var(--p4)}.p5{color:var(--p5)}.p6{color:var(--p6)}
.h0{fill:var(--h0);background:var(--h0)}.h1{fill:var(--h1);background:var(--h1)}.h2{fill:var(--h2);background:var(--h2)}
.h3{fill:var(--h3);background:var(--h3)}.h4{fill:var(--h4);background:var(--h4)}.h5{fill:var(--h5);background:var(--h5)}
.h6{fill:var(--h6);background:var(--h6)}.h7{fill:var(--h7);background:var(--h7)}.h8{fill:var(--h8);background:var(--h8)}
.h9{fill:var(--h9);background:var(--h9)}.h10{fill:var(--h10);background:var(--h10)}.h11{fill:var(--h11);background:var(--h11)}
@media (max-width:560px){main,header,footer{padding-left:14px;padding-right:14px}header{padding-top:24px}h1{font-size:23px}
.verdict li{grid-template-columns:1fr;gap:0}.tiles{grid-template-columns:1fr 1fr;gap:8px}.chart{padding:12px 10px 10px}
.bars{grid-template-columns:1fr auto}.bars svg{grid-column:1/-1;grid-row:auto}.bar-name{max-width:none}
.bars .bar-name{grid-column:1/-1}.bars svg{grid-column:1}.scale i{width:17px}h2{margin-top:36px}}
@media print{body{background:#fff}.chart,.tile,details{break-inside:avoid}pre{max-height:none}}
)css";
}

}  // namespace troupe::report_page
