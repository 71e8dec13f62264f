#pragma once

#include <string_view>

namespace ocelli::report {

/// The page's style sheet.
inline constexpr std::string_view kHtmlStyle = R"(
:root{color-scheme:light dark;--page:#f5f6f8;--card:#fff;--text:#1b2129;--soft:#5c6672;--line:#e3e7ec;--code:#f4f6f8;
--link:#2563b8;--right:#13795b;--right-bg:#e4f4ee;--wrong:#b3283b;--wrong-bg:#fbe9eb;--note:#8a5a00;--note-bg:#fdf4e0}
@media (prefers-color-scheme:dark){:root{--page:#0f1216;--card:#171b21;--text:#e4e8ed;--soft:#98a2ae;--line:#2b323b;--code:#11151a;
--link:#7fb0f2;--right:#5bcfa5;--right-bg:#12302a;--wrong:#f28b98;--wrong-bg:#3a1c22;--note:#f0c36a;--note-bg:#33290f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
overflow-wrap:break-word}
main{max-width:1040px;margin:0 auto;padding:32px 20px 48px}
header{margin-bottom:24px}
h1{font-size:1.9rem;line-height:1.2;margin:0;letter-spacing:-.015em}
h2{font-size:1.3rem;margin:40px 0 12px;padding-top:8px;letter-spacing:-.01em}
h3{font-size:1.05rem;margin:24px 0 8px}
p{margin:0 0 14px;max-width:75ch}
.subtitle{color:var(--soft);margin:6px 0 0}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin-top:14px;font-size:.92rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
figure{margin:0 0 20px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px}
figcaption{color:var(--soft);font-size:.88rem;margin:8px 2px 0}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0 0 20px}
.figures>div{padding:14px 16px}
.figures dt{color:var(--soft);font-size:.85rem}
.figures dd{margin:0}
.figures .value{font-size:1.55rem;font-weight:650;line-height:1.3;letter-spacing:-.01em}
.figures .small{color:var(--soft);font-size:.82rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.93rem;font-variant-numeric:tabular-nums}
th,td{padding:8px 14px;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;white-space:nowrap}
tbody tr:last-child td{border-bottom:0}
.r{text-align:right;white-space:nowrap}
.total td{font-weight:650;border-top:2px solid var(--line)}
pre{margin:0;padding:14px 16px;overflow-x:auto;background:var(--code);border-radius:10px;
font:.86rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;tab-size:4}
figure.card.svg{padding:12px;overflow-x:auto}
.svg svg{display:block;width:100%;min-width:540px;height:auto;max-width:1000px;margin:0 auto}
.svg figcaption{padding:0 4px 2px}
details{margin:0 0 20px}
summary{cursor:pointer;padding:10px 16px;font-weight:600}
details pre{border-radius:0 0 10px 10px;border-top:1px solid var(--line)}
.note{background:var(--note-bg);color:var(--note);border-radius:10px;padding:10px 16px;max-width:none}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:14px;margin:0 0 20px}
.pictures figure{margin:0;overflow:hidden;display:flex;flex-direction:column}
.pictures img{display:block;width:100%;aspect-ratio:1;object-fit:contain;background:var(--code)}
.pictures img.tiny{image-rendering:pixelated}
.pictures.large{grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr))}
.pictures.large img{aspect-ratio:auto;max-height:560px}
.wrapped{white-space:pre-wrap}
mark{background:var(--right-bg);color:var(--right);border-radius:3px}
pre small{color:var(--soft);font-size:inherit;font-style:italic}
.lines{padding:10px 12px 12px;font-size:.9rem;line-height:1.4}
.lines div+div{margin-top:4px}
.lines .label{color:var(--soft);font-size:.8rem;margin-right:.5em}
.ok,.bad{border-radius:5px;padding:1px 6px;font-weight:600}
.ok{color:var(--right);background:var(--right-bg)}.bad{color:var(--wrong);background:var(--wrong-bg)}
footer{margin-top:44px;padding-top:14px;border-top:1px solid var(--line);color:var(--soft);font-size:.85rem}
@media (max-width:520px){main{padding:20px 14px 36px}h1{font-size:1.5rem}.pictures:not(.large){grid-template-columns:repeat(2,1fr);gap:10px}
th,td{padding:7px 10px}.figures{grid-template-columns:repeat(2,1fr)}}
@media print{body{background:#fff}.card,tr{break-inside:avoid}nav{display:none}}
)";

}  // namespace ocelli::report
